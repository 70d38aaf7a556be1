package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// kernelOptions are those of mount(8) that the kernel gets.
var kernelOptions = []string{"nodev", "dev", "nosuid", "suid", "noexec", "exec", "noatime"}

// idleOptions are those of mount(8) that are for others, or say what is so anyhow.
var idleOptions = []string{
	"defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail", "relatime", "norelatime",
	"strictatime", "nodiratime", "diratime", "atime", "async", "default_permissions", "silent", "loud", "nomand", "mand", "noiversion",
}

// applyOptions applies the values of -o.
func (f *mountFlags) applyOptions(fs *pflag.FlagSet) error {
	for _, list := range f.options {
		for _, option := range splitCommas(list) {
			if option == "" {
				continue
			}
			if err := f.applyOption(fs, option); err != nil {
				return err
			}
		}
	}
	return nil
}

// applyOption applies one option: one of mount(8), or a flag of the verb.
func (f *mountFlags) applyOption(fs *pflag.FlagSet, option string) error {
	key, value, hasValue := strings.Cut(option, "=")
	switch {
	case slices.Contains(kernelOptions, option):
		f.kernel = append(f.kernel, option)
		return nil
	case slices.Contains(idleOptions, key), key == "subtype", key == "comment", strings.HasPrefix(key, "x-"), strings.HasPrefix(key, "X-"):
		return nil
	case option == "ro":
		f.rw = false
		return nil
	case option == "quiet":
		f.quietOwner = true
		return nil
	case key == "fsname":
		f.source = value
		return nil
	}
	flag := fs.Lookup(strings.ReplaceAll(key, "_", "-"))
	if flag == nil || flag.Name == "options" || flag.Name == "help" {
		return usageError("-o %s: there is no such option", option)
	}
	if !hasValue {
		if value = flag.NoOptDefVal; value == "" {
			return usageError("-o %s: a value is missing", option)
		}
	}
	if err := fs.Set(flag.Name, value); err != nil {
		return usageError("-o %s: %w", option, err)
	}
	return nil
}

// mountHelpers are the names under which mount(8) runs the program.
var mountHelpers = []string{"mount.fatkit", "mount.fuse.fatkit"}

// asHelper returns the arguments of the verb for those that mount(8) gives to a
// helper: SOURCE MNT [-sfnv] [-N namespace] [-o options] [-t type]; see mount(8),
// "External helpers". With -f nothing is mounted: it is only written down.
func asHelper(args []string) []string {
	out := []string{"mount"}
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-t" || arg == "-N":
			i++
		case arg == "-s" || arg == "-n" || arg == "-v":
		case arg == "-f":
			return []string{"version"}
		default:
			out = append(out, arg)
		}
	}
	return out
}
