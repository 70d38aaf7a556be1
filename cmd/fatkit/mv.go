package main

import (
	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
)

const mvLong = `Move or rename files and directories inside an image, or move them from the host
into an image, out of it, or to another image. Within one volume nothing is
copied. Otherwise a source is removed after all of it was copied.

` + locationLong

const mvExample = `  fatkit mv disk.img:/docs/hello.txt disk.img:/HELLO.TXT
  fatkit mv -n 'disk.img:/*.log' disk.img:/logs`

func newMv() *cobra.Command {
	f := copyFlags{}
	cmd := &cobra.Command{
		Use:     "mv [flags] SOURCE... TARGET",
		Short:   "move and rename files inside images",
		Long:    mvLong,
		Example: mvExample,
		Args:    wantArgs(2, -1, "a source and a target"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.move(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.register(fs)
	f.volumeFlags.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// move is the verb.
func (f *copyFlags) move(s *session, args []string) error {
	sources, target, err := s.sourceAndTarget(args)
	if err != nil {
		return err
	}
	for _, l := range append(sources, target) {
		if l.Kind == stack.Stdio {
			return usageError("standard input and output cannot be moved: see fatkit cp")
		}
	}
	to, err := s.place(target, target.Inside())
	if err != nil {
		return err
	}
	from, err := s.sources(sources, true)
	if err != nil {
		return err
	}
	o := f.options(s)
	for _, p := range from {
		if p.FS != to.FS {
			s.showProgress(&o, from, "moving", f.quiet)
			break
		}
	}
	_, err = fileops.Move(s.ctx, to, from, o)
	return err
}
