package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// mount(8) calls the program by the name of a helper.
func TestMountHelper(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/fatkit mount a.img m":                                "mount a.img m",
		"/sbin/mount.fatkit a.img /mnt -o rw,uid=5":                    "mount a.img /mnt -o rw,uid=5",
		"/sbin/mount.fatkit a.img /mnt -s -n -v -t fatkit -N ns -o ro": "mount a.img /mnt -o ro",
		"mount.fuse.fatkit a.img /mnt -f":                              "version",
	} {
		if got := strings.Join(arguments(strings.Fields(line)), " "); got != want {
			t.Errorf("%s\nis  %s\nnot %s", line, got, want)
		}
	}
}

func TestMountOptions(t *testing.T) {
	apply := func(options ...string) (mountFlags, error) {
		f := mountFlags{}
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.register(fs)
		f.options = options
		return f, f.applyOptions(fs)
	}
	f, err := apply("rw,noexec,allow_other,x-systemd.automount,_netdev,relatime", "uid=7,partition=2,as-file,quiet,fsname=a,,b")
	if err != nil || !f.rw || !f.allowOther || f.uid != 7 || f.partition != 2 || f.asFile != "disk.img" || !f.quietOwner ||
		f.source != "a,b" || !slices.Equal(f.kernel, []string{"noexec"}) {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = apply("rw,ro,defaults"); err != nil || f.rw {
		t.Errorf("rw,ro: %v, %v", f.rw, err)
	}
	for _, bad := range []string{"nonsense", "uid", "uid=x", "options=rw", "help"} {
		if _, err := apply(bad); err == nil {
			t.Errorf("-o %s is taken", bad)
		}
	}
}
