package main

import (
	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
)

const catLong = `Write the contents of files inside images to standard output, byte for byte and one
after the other.

` + locationLong

func newCat() *cobra.Command {
	f := volumeFlags{}
	cmd := &cobra.Command{
		Use:     "cat [flags] IMAGE:/PATH...",
		Short:   "print files inside an image",
		Long:    catLong,
		Example: "  fatkit cat disk.img:/docs/hello.txt",
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f, func(s *session) error {
				places, err := s.expand(args, false, false)
				if err != nil {
					return err
				}
				return s.each(places, func(p fileops.Place) error { return fileops.Read(s.ctx, p, s.out) })
			})
		},
	}
	cmd.Flags().SortFlags = false
	f.register(cmd.Flags())
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// sourceAndTarget reads the arguments of a verb that has several sources and
// one target, of which one at least is inside an image.
func (s *session) sourceAndTarget(args []string) (sources []stack.Location, target stack.Location, err error) {
	inside := false
	for _, text := range args {
		l, err := s.parse(text)
		if err != nil {
			return nil, target, err
		}
		inside = inside || l.Inside()
		sources = append(sources, l)
	}
	if !inside {
		return nil, target, usageError("nothing of this is inside an image: write IMAGE:/PATH for what is")
	}
	last := len(sources) - 1
	return sources[:last], sources[last], nil
}
