package main

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
)

const treeLong = `Draw what is in directories inside an image as a tree. Without -a what is hidden
stays out, as with ls.

` + locationLong

// treeFlags are the flags of tree.
type treeFlags struct {
	volumeFlags
	all, dirsOnly, sizes bool
	depth                int
}

func newTree() *cobra.Command {
	f := treeFlags{}
	cmd := &cobra.Command{
		Use:     "tree [flags] IMAGE:/PATH...",
		Short:   "draw the tree of files inside an image",
		Long:    treeLong,
		Example: "  fatkit tree disk.img:/",
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.all, "all", "a", false, "do not leave out what is hidden")
	fs.BoolVarP(&f.dirsOnly, "directories", "d", false, "draw directories alone")
	fs.BoolVarP(&f.sizes, "sizes", "s", false, "print the size of each file")
	fs.IntVarP(&f.depth, "level", "L", 0, "go `N` directories deep (default all the way)")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// drawing counts what was drawn.
type drawing struct {
	*treeFlags
	s           *session
	dirs, files int
}

func (f *treeFlags) run(s *session, args []string) error {
	if f.depth < 0 {
		return usageError("--level: %d is negative", f.depth)
	}
	places, err := s.expand(args, false, true)
	if err != nil {
		return err
	}
	d := &drawing{treeFlags: f, s: s}
	err = s.each(places, func(p fileops.Place) error {
		fi, err := p.Stat()
		if err != nil {
			return err
		}
		fmt.Fprintln(s.out, printable(p.String()))
		if !fi.IsDir() {
			d.files++
			return nil
		}
		return d.dir(p, "", 1)
	})
	fmt.Fprintf(s.out, "\n%s, %s\n", count(d.dirs, "directory", "directories"), count(d.files, "file", "files"))
	return err
}

// maxTreeDepth bounds the depth that is drawn: a damaged tree could go on for
// ever.
const maxTreeDepth = 1000

// dir draws what is in a directory, with indent in front of each line.
func (d *drawing) dir(p fileops.Place, indent string, depth int) error {
	if d.depth > 0 && depth > d.depth || depth > maxTreeDepth {
		return nil
	}
	if err := d.s.ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(p.FS, p.Path)
	if err != nil {
		return p.Wrap(err)
	}
	var shown []fs.FileInfo
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			return p.Wrap(err)
		}
		if (d.all || !hidden(fi)) && (fi.IsDir() || !d.dirsOnly) {
			shown = append(shown, fi)
		}
	}
	slices.SortFunc(shown, func(a, b fs.FileInfo) int { return compareNames(a.Name(), b.Name()) })
	for i, fi := range shown {
		branch, below := "├── ", "│   "
		if i == len(shown)-1 {
			branch, below = "└── ", "    "
		}
		size := ""
		if d.sizes && !fi.IsDir() {
			size = fmt.Sprintf("[%6s]  ", humanBytes(fi.Size()))
		}
		fmt.Fprintln(d.s.out, indent+branch+size+printable(fi.Name()))
		if !fi.IsDir() {
			d.files++
			continue
		}
		d.dirs++
		if err := d.dir(p.Join(fi.Name()), indent+below, depth+1); err != nil {
			return err
		}
	}
	return nil
}
