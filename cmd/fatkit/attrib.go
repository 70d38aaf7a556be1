package main

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/vfs"
)

const attribLong = `Print the DOS attributes of files inside an image, or set and clear them: +r -r for
read-only, +h -h hidden, +s -s system, +a -a archive. Several go together, as in
"+rh" or "+r -a". A name of a file never begins with + or -, since it has IMAGE:/ in
front.

` + locationLong

const attribExample = `  fatkit attrib disk.img:/docs/hello.txt
  fatkit attrib +r -a disk.img:/docs/hello.txt
  fatkit attrib --json -R disk.img:/docs`

// attribFlags are the flags of attrib.
type attribFlags struct {
	volumeFlags
	recursive, json bool
	set, clear      vfs.Attr
}

func newAttrib() *cobra.Command {
	f := attribFlags{}
	cmd := &cobra.Command{
		Use:     "attrib [flags] [+rhsa|-rhsa]... IMAGE:/PATH...",
		Short:   "print and change attributes of files inside an image",
		Long:    attribLong,
		Example: attribExample,
		// What begins with - is not always a flag, so that RunE reads the flags.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := f.parse(cmd, args)
			if err != nil || names == nil {
				return err
			}
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, names) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.recursive, "recursive", "R", false, "do so with all that is in directories as well")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// parse takes the changes out of the arguments and reads the flags. It returns
// the names, or none if there was only help to print.
func (f *attribFlags) parse(cmd *cobra.Command, args []string) ([]string, error) {
	var rest []string
	for _, arg := range args {
		if !f.change(arg) {
			rest = append(rest, arg)
		}
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.Flags().Parse(rest); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if help, _ := cmd.Flags().GetBool("help"); help {
		return nil, cmd.Help()
	}
	switch names := cmd.Flags().Args(); {
	case len(names) == 0:
		return nil, usageError("attrib needs one IMAGE:/PATH at least")
	case strings.HasPrefix(names[0], "+"):
		return nil, usageError("%s: the attributes are r, h, s and a", names[0])
	case f.set&f.clear != 0:
		return nil, usageError("an attribute cannot be set and cleared at the same time")
	default:
		return names, nil
	}
}

// change notes a change such as +rh and reports whether arg is one. -R is a
// flag.
func (f *attribFlags) change(arg string) bool {
	if len(arg) < 2 || arg[0] != '+' && arg[0] != '-' || strings.Trim(arg[1:], "rhsa") != "" {
		return false
	}
	for _, a := range attributes {
		switch {
		case strings.IndexByte(arg, a.letter) < 0:
		case arg[0] == '+':
			f.set |= a.bit
		default:
			f.clear |= a.bit
		}
	}
	return true
}

// run prints or changes.
func (f *attribFlags) run(s *session, names []string) error {
	changes := f.set|f.clear != 0
	places, err := s.expand(names, changes, false)
	if err != nil {
		return err
	}
	list := []entryJSON{}
	one := func(p fileops.Place, fi fs.FileInfo) error {
		if changes && p.Path != "." {
			if err := vfs.SetAttr(p.FS, p.Path, f.set, f.clear); err != nil {
				return p.Wrap(err)
			}
			if !f.json {
				return nil
			}
			if fi, err = p.Stat(); err != nil {
				return err
			}
		}
		if f.json {
			list = append(list, describeEntry(p, fi))
			return nil
		}
		_, err := fmt.Fprintf(s.out, "%s %s\n", attributeLetters(fi), printable(p.String()))
		return err
	}
	err = s.each(places, func(p fileops.Place) error { return f.visit(s, p, one) })
	if f.json {
		if jerr := printJSON(s.out, list); jerr != nil {
			return jerr
		}
	}
	return err
}

// visit calls do for a place, and with -R for all that is in it.
func (f *attribFlags) visit(s *session, p fileops.Place, do func(fileops.Place, fs.FileInfo) error) error {
	if !f.recursive {
		fi, err := p.Stat()
		if err != nil {
			return err
		}
		return do(p, fi)
	}
	return vfs.Walk(s.ctx, p.FS, p.Path, func(name string, fi fs.FileInfo, err error) error {
		if err != nil {
			return p.Wrap(err)
		}
		at := p
		at.Path, at.DirOnly = name, false
		return do(at, fi)
	})
}
