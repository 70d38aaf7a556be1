package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/stack"
)

// formatFlag returns a flag for the format of an image.
func formatFlag(word *string) *choiceValue {
	return &choiceValue{word: word, choices: []string{stack.FormatRaw, stack.FormatQcow2}}
}

// inputFlags say how the image is opened that a verb looks at.
type inputFlags struct {
	format  string
	share   bool
	backing string
}

func (f *inputFlags) register(fs *pflag.FlagSet) {
	fs.VarP(formatFlag(&f.format), "format", "f", "format of the image (default what its suffix says, else raw)")
	fs.BoolVarP(&f.share, "force-share", "U", false, "read an image although another program is writing to it; what is read may not fit together")
}

func (f *inputFlags) registerBacking(fs *pflag.FlagSet) {
	fs.StringVar(&f.backing, "backing", "", "open the backing files of a qcow2 image: allow, deny, or those beneath `DIR` (default beneath the image's folder)")
}

// options returns how the disk of the image is opened for reading.
func (f *inputFlags) options() stack.DiskOptions {
	return stack.DiskOptions{Format: f.format, Share: f.share, Backing: backingPolicy(f.backing)}
}

// backingPolicy reads the value of --backing.
func backingPolicy(word string) stack.Backing {
	switch word {
	case "":
		return stack.Backing{}
	case "deny":
		return stack.Backing{Deny: true}
	case "allow":
		return stack.Backing{Root: fileSystemRoot}
	}
	return stack.Backing{Root: word}
}

// openDisk opens the disk of the image name.
func (f *inputFlags) openDisk(ctx context.Context, name string) (block.Device, string, error) {
	return stack.OpenDisk(ctx, name, f.options())
}

// openMedium opens the bytes of the image name and says what their format is.
func (f *inputFlags) openMedium(ctx context.Context, name string, writable bool) (block.Device, string, error) {
	dev, err := stack.OpenMedium(ctx, name, writable, f.share)
	if err != nil {
		return nil, "", err
	}
	format, err := stack.FormatOf(name, f.format, dev)
	if err != nil {
		dev.Close()
		return nil, "", err
	}
	return dev, format, nil
}

// outputFlags choose between text and JSON: --output as qemu-img has it, --json
// as the other verbs do.
type outputFlags struct {
	form string
	json bool
}

func (f *outputFlags) register(fs *pflag.FlagSet) {
	f.form = "human"
	fs.Var(&choiceValue{word: &f.form, choices: []string{"human", "json"}}, "output", "form of the output")
	fs.BoolVar(&f.json, "json", false, "print JSON; the same as --output json")
}

// print writes v as JSON, or lets text write for people.
func (f *outputFlags) print(w io.Writer, v any, text func(io.Writer) error) error {
	if f.json || f.form == "json" {
		return printJSON(w, v)
	}
	return text(w)
}

// field writes a line of an aligned list.
func field(w io.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "%-16s %s\n", name+":", fmt.Sprintf(format, args...))
}

// cacheModes are qemu-img's words for how the host's caches are used.
var cacheModes = []string{"none", "writeback", "writethrough", "directsync", "unsafe"}

// cacheFlags are flags of qemu-img's that change nothing here: an image is
// always read and written through the host's page cache, and what is written is
// on stable storage at the end.
type cacheFlags struct{ target, source string }

func (f *cacheFlags) register(fs *pflag.FlagSet) {
	fs.VarP(&choiceValue{word: &f.target, choices: cacheModes, kind: "CACHE"}, "cache", "t", "accepted for qemu-img's sake: the page cache is used, and what is written is on stable storage at the end")
	fs.VarP(&choiceValue{word: &f.source, choices: cacheModes, kind: "CACHE"}, "source-cache", "T", "accepted for qemu-img's sake, as -t")
}
