package main

import (
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
)

const duLong = `Print how much of the volume in an image directories and files take, in KiB: whole
clusters, and those of the directories themselves. With -b the sizes of the files
count instead.

` + locationLong

// duFlags are the flags of du.
type duFlags struct {
	volumeFlags
	all, sum, total, bytes, human, json bool
	depth                               int
}

// duJSON is a line of du.
type duJSON struct {
	Path           string `json:"path"`
	AllocatedBytes int64  `json:"allocated_bytes"`
	Bytes          int64  `json:"bytes"` // sizes of the files
	Files          int64  `json:"files"`
	Directories    int64  `json:"directories"` // below it
}

func newDu() *cobra.Command {
	f := duFlags{depth: -1}
	cmd := &cobra.Command{
		Use:     "du [flags] IMAGE:/PATH...",
		Short:   "print how much room files inside an image take",
		Long:    duLong,
		Example: "  fatkit du -h disk.img:/\n  fatkit du -s --json disk.img:/docs",
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.all, "all", "a", false, "print a line for each file as well")
	fs.BoolVarP(&f.sum, "summarize", "s", false, "print a line for each argument alone")
	fs.BoolVarP(&f.total, "total", "c", false, "print the total of all")
	fs.BoolVarP(&f.bytes, "bytes", "b", false, "count sizes of files, in bytes")
	fs.IntVarP(&f.depth, "max-depth", "d", -1, "print lines for what is at most `N` directories deep")
	humanFlag(cmd, &f.human)
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// measure is one run of du.
type measure struct {
	*duFlags
	s     *session
	lines []duJSON
}

func (f *duFlags) run(s *session, args []string) error {
	if f.sum {
		f.depth = 0
	}
	places, err := s.expand(args, false, true)
	if err != nil {
		return err
	}
	m := &measure{duFlags: f, s: s, lines: []duJSON{}}
	total := duJSON{Path: "total"}
	err = s.each(places, func(p fileops.Place) error {
		fi, err := p.Stat()
		if err != nil {
			return err
		}
		sum, err := m.visit(p, fi, 0)
		total.add(sum)
		return err
	})
	if f.total {
		m.print(total, 0)
	}
	if f.json {
		if jerr := printJSON(s.out, m.lines); jerr != nil {
			return jerr
		}
	}
	return err
}

// add counts what is in another line.
func (d *duJSON) add(o duJSON) {
	d.AllocatedBytes += o.AllocatedBytes
	d.Bytes += o.Bytes
	d.Files += o.Files
	d.Directories += o.Directories
}

// visit measures an object and prints its line.
func (m *measure) visit(p fileops.Place, fi fs.FileInfo, depth int) (duJSON, error) {
	line := duJSON{Path: p.String()}
	if err := m.s.ctx.Err(); err != nil {
		return line, err
	}
	allocated, err := spaceTaken(p, fi)
	if err != nil {
		return line, err
	}
	line.AllocatedBytes = allocated
	if !fi.IsDir() {
		line.Bytes, line.Files = fi.Size(), 1
		if m.all || depth == 0 {
			m.print(line, depth)
		}
		return line, nil
	}
	if depth > maxTreeDepth {
		return line, &fs.PathError{Op: "du", Path: p.String(), Err: fs.ErrInvalid}
	}
	entries, err := fs.ReadDir(p.FS, p.Path)
	if err != nil {
		return line, p.Wrap(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return line, p.Wrap(err)
		}
		if info.IsDir() {
			line.Directories++
		}
		below, err := m.visit(p.Join(info.Name()), info, depth+1)
		if err != nil {
			return line, err
		}
		line.add(below)
	}
	m.print(line, depth)
	return line, nil
}

// spaceTaken returns how many bytes of its volume an object takes itself. Of one that
// is not on FAT nothing but the size of a file is known.
func spaceTaken(p fileops.Place, fi fs.FileInfo) (n int64, err error) {
	v, ok := p.FS.(*stack.FileSystem)
	switch {
	case !ok && fi.IsDir():
		return 0, nil
	case !ok:
		return fi.Size(), nil
	}
	extents, err := v.Extents(p.Path)
	if err != nil {
		return 0, p.Wrap(err)
	}
	for _, e := range extents {
		if e.Cluster != 0 { // the root of FAT12 and FAT16 takes nothing of the data area
			n += e.Len
		}
	}
	return n, nil
}

// print prints a line, unless it is for something too deep.
func (m *measure) print(line duJSON, depth int) {
	if m.depth >= 0 && depth > m.depth {
		return
	}
	if m.json {
		m.lines = append(m.lines, line)
		return
	}
	n, text := line.AllocatedBytes, ""
	if m.bytes {
		n = line.Bytes
	}
	switch {
	case m.human:
		text = humanBytes(n)
	case m.bytes:
		text = fmt.Sprint(n)
	default:
		text = fmt.Sprint((n + 1023) / 1024)
	}
	fmt.Fprintf(m.s.out, "%s\t%s\n", text, printable(line.Path))
}
