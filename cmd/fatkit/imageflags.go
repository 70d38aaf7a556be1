package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/stack"
)

// imageFlags are the flags that say how an image is opened.
type imageFlags struct {
	rw          bool // declared by shareFlags
	copyOnWrite bool
	format      string
	partition   int
	offset      int64
	backing     string
	reconnect   time.Duration
}

// register declares the flags on fs, with the values that f has as defaults.
func (f *imageFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.copyOnWrite, "copy-on-write", f.copyOnWrite, "let clients write, and forget what they wrote when the server stops: it goes to a file in the folder for temporary files")
	fs.Var(&choiceValue{word: &f.format, choices: []string{stack.FormatRaw, stack.FormatQcow2}}, "format", "format of an image (default what its suffix says, else raw)")
	fs.IntVar(&f.partition, "partition", f.partition, "show partition `N` of an image: 1 to 4, 5 and up for logical ones, or the number in a GPT (default the whole disk)")
	fs.Var(&sizeValue{bytes: &f.offset}, "offset", "show an image from this many bytes on")
	fs.StringVar(&f.backing, "backing", f.backing, "open the backing files of a qcow2 image: allow, deny, or those beneath `DIR` (default beneath the image's folder)")
	fs.DurationVar(&f.reconnect, "reconnect", f.reconnect, "keep opening a lost connection to an NBD server of an image for this long, such as 30s (default not at all)")
}

// options returns what the flags say. sectorBytes is --sector, which a
// directory's disk has as well.
func (f *imageFlags) options(sectorBytes int) (stack.ImageOptions, error) {
	o := stack.ImageOptions{
		Writable: f.rw, CopyOnWrite: f.copyOnWrite, Format: f.format,
		Partition: f.partition, SectorBytes: sectorBytes, OffsetBytes: f.offset, Reconnect: f.reconnect,
	}
	switch {
	case f.rw && f.copyOnWrite:
		return o, usageError("--rw writes to the image, and --copy-on-write leaves it as it is: give one of them")
	case f.reconnect < 0:
		return o, usageError("--reconnect: %v is negative", f.reconnect)
	}
	switch f.backing {
	case "":
	case "deny":
		o.Backing.Deny = true
	case "allow":
		o.Backing.Root = fileSystemRoot
	default:
		o.Backing.Root = f.backing
	}
	return o, nil
}

// fileSystemRoot is the folder that everything lies beneath; on Windows, all of
// the current drive.
const fileSystemRoot = "/"

// flagNames returns the names of the flags that register declares.
func flagNames(register func(*pflag.FlagSet)) map[string]bool {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	register(fs)
	names := map[string]bool{}
	fs.VisitAll(func(f *pflag.Flag) { names[f.Name] = true })
	return names
}

// misplaced returns a flag that was given in fs although it is about the other
// kind of source than kind, or "".
func misplaced(fs *pflag.FlagSet, kind stack.Kind) string {
	images := flagNames(new(imageFlags).register)
	directories := flagNames(new(directoryFlags).register)
	partitioned := fs.Lookup("partition").Value.String() != "0"
	flag := ""
	fs.Visit(func(f *pflag.Flag) {
		// In sectors an MBR counts, too.
		wrong := directories[f.Name] && !(f.Name == "sector" && partitioned)
		if kind == stack.KindDirectory {
			wrong = images[f.Name]
		}
		if wrong && flag == "" {
			flag = "--" + f.Name
		}
	})
	return flag
}
