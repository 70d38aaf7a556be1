package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/fileops"
)

const lsLong = `List what is in directories inside an image, sorted by name. Without -a what is
hidden stays out: by the hidden attribute, or by a leading dot.

-l prints attributes (d for a directory, r read-only, h hidden, s system, a archive),
size in bytes, time of the last change and name; -x puts the short name in front of
that.

` + locationLong

const lsExample = `  fatkit ls disk.img:/
  fatkit ls -l 'disk.img:/docs/*.txt'
  fatkit ls -lR --json disk.qcow2:/EFI`

// lsFlags are the flags of ls.
type lsFlags struct {
	volumeFlags
	long, all, recursive, one, dirs, short, human, json bool
	byTime, bySize, reverse                             bool
}

func newLs() *cobra.Command {
	f := lsFlags{}
	cmd := &cobra.Command{
		Use:     "ls [flags] IMAGE:/PATH...",
		Short:   "list files inside an image",
		Long:    lsLong,
		Example: lsExample,
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.long, "long", "l", false, "print attributes, size and time")
	fs.BoolVarP(&f.all, "all", "a", false, "do not leave out what is hidden")
	fs.BoolVarP(&f.recursive, "recursive", "R", false, "list directories in directories as well")
	fs.BoolVarP(&f.one, "one", "1", false, "one name to a line, as it is anyway where the output is no terminal")
	fs.BoolVarP(&f.dirs, "directory", "d", false, "list directories themselves, not what is in them")
	fs.BoolVarP(&f.short, "short-names", "x", false, "print the short name (8.3) of each file as well")
	humanFlag(cmd, &f.human)
	fs.BoolVarP(&f.byTime, "time", "t", false, "sort by time of change, the newest first")
	fs.BoolVarP(&f.bySize, "size", "S", false, "sort by size, the largest first")
	fs.BoolVarP(&f.reverse, "reverse", "r", false, "sort the other way round")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// listed is an object to print.
type listed struct {
	place fileops.Place
	info  fs.FileInfo
	name  string // as it is printed
}

// run lists the places.
func (f *lsFlags) run(s *session, args []string) error {
	places, err := s.expand(args, false, true)
	if err != nil {
		return err
	}
	var files, dirs []listed
	err = s.each(places, func(p fileops.Place) error {
		fi, err := p.Stat()
		if err != nil {
			return err
		}
		l := listed{p, fi, p.String()}
		if fi.IsDir() && !f.dirs {
			dirs = append(dirs, l)
		} else {
			files = append(files, l)
		}
		return nil
	})
	l := &lister{lsFlags: f, s: s, json: []entryJSON{}}
	l.print(files)
	if l.heads = f.recursive || len(places) > 1; err == nil || len(dirs) > 0 {
		for _, d := range dirs {
			if derr := l.dir(d.place); derr != nil {
				s.tell(derr)
				err = fileops.ErrFailed
			}
		}
	}
	if f.json {
		if jerr := printJSON(s.out, l.json); jerr != nil {
			return jerr
		}
	}
	return err
}

// lister prints the lists of one run.
type lister struct {
	*lsFlags
	s     *session
	heads bool // lists have the name of the directory on top
	lists int  // printed so far
	json  []entryJSON
}

// dir lists a directory.
func (l *lister) dir(p fileops.Place) error {
	if err := l.s.ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(p.FS, p.Path)
	if err != nil {
		return p.Wrap(err)
	}
	var all []listed
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			return p.Wrap(err)
		}
		if l.all || !hidden(fi) {
			all = append(all, listed{p.Join(fi.Name()), fi, fi.Name()})
		}
	}
	l.sort(all)
	if l.heads && !l.lsFlags.json {
		if l.lists > 0 {
			fmt.Fprintln(l.s.out)
		}
		fmt.Fprintf(l.s.out, "%s:\n", printable(p.String()))
	}
	l.lists++
	l.print(all)
	if !l.recursive {
		return nil
	}
	for _, e := range all {
		if e.info.IsDir() {
			if err := l.dir(e.place); err != nil {
				return err
			}
		}
	}
	return nil
}

// hidden reports whether an object shows only with -a.
func hidden(fi fs.FileInfo) bool {
	return strings.HasPrefix(fi.Name(), ".") || attributeLetters(fi)[2] == 'h'
}

// sort sorts by what was asked for, and by name where that is equal.
func (l *lister) sort(all []listed) {
	slices.SortFunc(all, func(a, b listed) int {
		order := 0
		switch {
		case l.byTime:
			order = b.info.ModTime().Compare(a.info.ModTime())
		case l.bySize:
			order = cmp.Compare(b.info.Size(), a.info.Size())
		}
		if order == 0 {
			order = compareNames(a.name, b.name)
		}
		if l.reverse {
			order = -order
		}
		return order
	})
}

// compareNames sorts names without regard to case, unless that is all they
// differ in.
func compareNames(a, b string) int {
	if order := strings.Compare(strings.ToLower(a), strings.ToLower(b)); order != 0 {
		return order
	}
	return strings.Compare(a, b)
}

// print prints a list.
func (l *lister) print(all []listed) {
	if len(all) > 0 {
		l.lists++
	}
	switch {
	case l.lsFlags.json:
		for _, e := range all {
			l.json = append(l.json, describeEntry(e.place, e.info))
		}
	case l.long:
		l.printLong(all)
	case l.one || l.short || !isTerminal(l.s.out):
		for _, e := range all {
			fmt.Fprintln(l.s.out, l.shortName(e.info)+printable(e.name))
		}
	default:
		names := make([]string, len(all))
		for i, e := range all {
			names[i] = printable(e.name)
		}
		printColumns(l.s.out, names)
	}
}

// printLong prints a line of columns for each object.
func (l *lister) printLong(all []listed) {
	sizes, width := make([]string, len(all)), 1
	for i, e := range all {
		sizes[i] = fmt.Sprint(e.info.Size())
		if l.human {
			sizes[i] = humanBytes(e.info.Size())
		}
		width = max(width, len(sizes[i]))
	}
	for i, e := range all {
		when := "                "
		if t := e.info.ModTime(); !t.IsZero() {
			when = t.Format(shortTime)
		}
		fmt.Fprintf(l.s.out, "%s %*s %s %s%s\n", attributeLetters(e.info), width, sizes[i], when, l.shortName(e.info), printable(e.name))
	}
}

// shortName returns the column of the short name, if there is to be one.
func (l *lister) shortName(fi fs.FileInfo) string {
	if !l.short {
		return ""
	}
	e, _ := fi.Sys().(*fat.Entry)
	return fmt.Sprintf("%-12s ", printable(e.ShortName))
}

// printColumns prints names in as many columns as the terminal has room for,
// going down.
func printColumns(w io.Writer, names []string) {
	width, total := 0, terminalWidth(w)
	for _, n := range names {
		width = max(width, len([]rune(n))+2)
	}
	columns := max(1, total/max(1, width))
	rows := (len(names) + columns - 1) / columns
	for row := range rows {
		var line strings.Builder
		for i := row; i < len(names); i += rows {
			fmt.Fprintf(&line, "%-*s", width, names[i])
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// shortTime is how a time is shown to people.
const shortTime = time.DateOnly + " 15:04"
