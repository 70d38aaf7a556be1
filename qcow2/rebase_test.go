package qcow2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/test/tools"
)

func TestSetBacking(t *testing.T) {
	tools.Need(t, "qemu-img")
	for _, o := range []CreateOptions{
		{ClusterBytes: 512}, {ClusterBytes: 1024, Version: 2}, {ClusterBytes: 4096}, {},
		{BackingName: "other.raw", BackingFormat: "raw"},
	} {
		for _, name := range []string{"base.raw", strings.Repeat("d/", 100) + "base.raw", ""} {
			path := newFile(t, 1<<20, o)
			dir := filepath.Dir(path)
			full := filepath.Join(dir, name)
			if name != "" {
				must(t, os.MkdirAll(filepath.Dir(full), 0o700))
				must(t, os.WriteFile(full, bytes.Repeat([]byte{5}, 1<<20), 0o600))
			}
			dev, err := file.Open(path, file.Options{})
			must(t, err)
			img, err := Open(dev, Options{NoBacking: true})
			must(t, err)
			must(t, img.SetBacking("first.raw", "raw"))
			must(t, img.SetBacking(name, "raw"))
			must(t, img.Close())
			var info struct {
				Name   string `json:"backing-filename"`
				Format string `json:"backing-filename-format"`
			}
			must(t, json.Unmarshal([]byte(tools.Run(t, "qemu-img", "info", "--output=json", path)), &info))
			if info.Name != name || name != "" && info.Format != "raw" {
				t.Errorf("%+v: qemu-img sees %+v, want %q", o, info, name)
			}
			want := make([]byte, 1<<20)
			if name != "" {
				want = bytes.Repeat([]byte{5}, 1<<20)
			}
			again := openFile(t, path, Options{ReadOnly: true})
			sameContents(t, again, want)
			must(t, again.Close())
		}
	}
}

// TestCommit copies an image to its backing file and empties it.
func TestCommit(t *testing.T) {
	base := mixedDisk(2 << 20)
	dev := unclosed{mem.New(0)}
	must(t, Create(dev, 2<<20, CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true, BackingName: "base"}))
	img, err := Open(dev, Options{Backing: func(BackingRef) (block.Device, error) { return unclosed{base}, nil }})
	must(t, err)
	_, err = img.WriteAt(bytes.Repeat([]byte{3}, 100<<10), 333)
	must(t, err)
	must(t, img.WriteZeroes(500<<10, 300<<10, 0))
	must(t, img.WriteCompressed(bytes.Repeat([]byte{4}, 32<<10), 1<<20))
	want := bytesOf(t, img)
	must(t, Commit(t.Context(), base, img, 1, nil))
	must(t, img.Empty())
	sameContents(t, img, want)
	if !bytes.Equal(bytesOf(t, base), want) {
		t.Error("the backing file is not what the image was")
	}
	own, err := img.AppendMap(nil, 0, img.Size())
	must(t, err)
	if len(own) != 1 || own[0].State != Absent {
		t.Errorf("the image still holds %+v", own)
	}
	must(t, img.Close())
	r, err := Check(t.Context(), dev)
	must(t, err)
	if !r.Clean() {
		t.Fatalf("%s", brief(r))
	}
}

func TestMeasureAsQEMU(t *testing.T) {
	tools.Need(t, "qemu-img")
	dir := t.TempDir()
	raw := filepath.Join(dir, "disk.raw")
	dev, err := file.Create(raw, 40<<20, file.Options{})
	must(t, err)
	_, err = dev.WriteAt(bytes.Repeat([]byte{1}, 3<<20), 5<<20)
	must(t, err)
	_, err = dev.WriteAt(bytes.Repeat([]byte{1}, 4096), 30<<20)
	must(t, err)
	for _, c := range []struct {
		options string
		o       CreateOptions
	}{
		{"cluster_size=64k", CreateOptions{}},
		{"cluster_size=512", CreateOptions{ClusterBytes: 512}},
		{"cluster_size=4k,refcount_bits=64", CreateOptions{ClusterBytes: 4096, RefcountBits: 64}},
		{"cluster_size=2M,refcount_bits=1", CreateOptions{ClusterBytes: 2 << 20, RefcountBits: 1}},
		{"cluster_size=16k,extended_l2=on", CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}},
	} {
		var theirs Measurement
		must(t, json.Unmarshal([]byte(tools.Run(t, "qemu-img", "measure", "--output=json", "-O", "qcow2", "-o", c.options, "-f", "raw", raw)), &theirs))
		ours, err := Measure(dev, c.o)
		must(t, err)
		if ours != theirs {
			t.Errorf("%s: ours %+v, theirs %+v", c.options, ours, theirs)
		}
		size := int64(123<<30 + 512)
		must(t, json.Unmarshal([]byte(tools.Run(t, "qemu-img", "measure", "--output=json", "-O", "qcow2", "-o", c.options, "--size", fmt.Sprint(size))), &theirs))
		if ours, err = MeasureSize(size, c.o); err != nil || ours != theirs {
			t.Errorf("%s, 123 GiB: ours %+v, theirs %+v, %v", c.options, ours, theirs, err)
		}
	}
	must(t, dev.Close())
}
