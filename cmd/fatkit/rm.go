package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
)

const rmLong = `Remove files and, with -r, directories inside an image. A file that is read-only
stays without -f.

` + locationLong

const rmExample = `  fatkit rm disk.img:/docs/hello.txt
  fatkit rm -rf 'disk.img:/*'`

// rmFlags are the flags of rm.
type rmFlags struct {
	volumeFlags
	recursive, force, dirs, verbose bool
}

func newRm() *cobra.Command {
	f := rmFlags{}
	cmd := &cobra.Command{
		Use:     "rm [flags] IMAGE:/PATH...",
		Short:   "remove files inside an image",
		Long:    rmLong,
		Example: rmExample,
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.recursive, "recursive", "r", false, "remove directories with what is in them")
	fs.BoolVarP(&f.recursive, "Recursive", "R", false, "the same as -r")
	fs.Lookup("Recursive").Hidden = true
	fs.BoolVarP(&f.force, "force", "f", false, "remove also what is read-only; what is not there is no error")
	fs.BoolVarP(&f.dirs, "dir", "d", false, "remove empty directories")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print what is removed")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// run removes.
func (f *rmFlags) run(s *session, args []string) error {
	o := fileops.RemoveOptions{Recursive: f.recursive, Dirs: f.dirs, Force: f.force, Failed: s.tell}
	if f.verbose {
		o.Removed = func(name string) { fmt.Fprintf(s.out, "removed %s\n", printable(name)) }
	}
	var places []fileops.Place
	for _, arg := range args {
		l, err := s.parseInside(arg, false)
		if err != nil {
			return err
		}
		p, err := s.place(l, true)
		if err != nil {
			return err
		}
		found, err := fileops.Glob(s.ctx, p)
		if f.force && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		places = append(places, found...)
	}
	return fileops.Remove(s.ctx, places, o)
}
