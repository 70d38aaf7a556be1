package main

import (
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/vfs"
)

const mkdirLong = `Make directories inside an image.

` + locationLong

func newMkdir() *cobra.Command {
	f := volumeFlags{}
	var parents, verbose bool
	cmd := &cobra.Command{
		Use:     "mkdir [flags] IMAGE:/PATH...",
		Short:   "make directories inside an image",
		Long:    mkdirLong,
		Example: "  fatkit mkdir -p disk.img:/EFI/BOOT",
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f, func(s *session) error {
				places, err := s.named(args)
				if err != nil {
					return err
				}
				return s.each(places, func(p fileops.Place) error {
					if err := makeDir(p, parents); err != nil {
						return p.Wrap(err)
					}
					if verbose {
						fmt.Fprintf(s.out, "created %s\n", printable(p.String()))
					}
					return nil
				})
			})
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&parents, "parents", "p", false, "make the parents that are missing; a directory that exists is no error")
	fs.BoolVarP(&verbose, "verbose", "v", false, "print what is made")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// makeDir makes a directory. The root is there already.
func makeDir(p fileops.Place, parents bool) error {
	if parents {
		return vfs.MkdirAll(p.FS, p.Path, 0o777)
	}
	if p.Path == "." {
		return &fs.PathError{Op: "mkdir", Path: p.Path, Err: fs.ErrExist}
	}
	return p.FS.Mkdir(p.Path, 0o777)
}

// named opens the places of texts for writing, all of them inside images and
// without wildcards, for what need not exist.
func (s *session) named(texts []string) ([]fileops.Place, error) {
	var all []fileops.Place
	for _, text := range texts {
		l, err := s.parseInside(text, false)
		if err != nil {
			return nil, err
		}
		p, err := s.place(l, true)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
