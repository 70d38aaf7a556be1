package shell

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/fatkit/fatkit/vfs"
)

var dirCommand = &command{
	name: "dir", aliases: []string{"ls"},
	usage: "[PATH...] [/w] [/b] [/s] [/a[:ATTRIBUTES]] [/o[:ORDER]]",
	brief: "list files",
	help: `/w  names alone, in columns          /b  names alone, one a line
/s  with all directories below       /a  hidden and system files, too
/a:dh-r  what is a directory and hidden and not read-only (d r h s a)
/o:-s  by size, the largest first (n name, e extension, s size, d date, g directories first)
/p is understood; on a terminal long output always pages. ls lists names alone, ls -l everything.`,
	switches: "w b s p l a: o:", unix: "R=s 1=b", max: -1,
	run: func(c *call) error {
		l := lister{call: c, bare: c.has("b") || c.name == "ls" && !c.has("l")}
		if err := l.filter(); err != nil {
			return err
		}
		if len(c.args) == 0 {
			c.args = []string{"."}
		}
		for _, arg := range c.args {
			if err := l.operand(arg); err != nil {
				return err
			}
		}
		return nil
	},
}

// lister is one run of dir.
type lister struct {
	*call
	bare      bool
	all       bool     // hidden and system files, too
	want, not vfs.Attr // attributes that must be and must not be
	dirs      int      // 1: directories alone, -1: none
	order     string
	files     int64
	bytes     int64
}

// filter reads /a and /o.
func (l *lister) filter() error {
	l.order = strings.ToLower(l.on["o"])
	if strings.Trim(l.order, "neswdg-") != "" {
		return l.usageError("/o takes the letters n, e, s, d and g")
	}
	if !l.has("a") {
		return nil
	}
	l.all = true
	minus := false
	for _, r := range strings.ToLower(l.on["a"]) {
		a, ok := attributeLetters[r]
		switch {
		case r == '-':
			minus = true
			continue
		case r == 'd' && minus:
			l.dirs = -1
		case r == 'd':
			l.dirs = 1
		case !ok:
			return l.usageError("/a takes the letters d, r, h, s and a")
		case minus:
			l.not |= a
		default:
			l.want |= a
		}
		minus = false
	}
	return nil
}

// operand lists what one operand names.
func (l *lister) operand(arg string) error {
	dir, pattern := arg, "*"
	if isPattern(arg) {
		dir, pattern = splitPath(arg)
	} else if fi, err := l.ns.Stat(arg); err != nil {
		return err
	} else if !fi.IsDir() {
		dir, pattern = splitPath(arg)
	}
	if dir == "" {
		dir = "."
	}
	l.files, l.bytes = 0, 0
	if !l.bare {
		if err := l.head(dir); err != nil {
			return err
		}
	}
	found, err := l.directory(dir, pattern, 0)
	if err != nil {
		return err
	}
	if !found && !l.bare {
		return &fs.PathError{Op: "dir", Path: arg, Err: fs.ErrNotExist}
	}
	if l.bare {
		return nil
	}
	return l.foot(dir)
}

// head says which volume it is.
func (l *lister) head(dir string) error {
	at, err := l.ns.Locate(dir)
	if err != nil {
		return err
	}
	if at.Volume() == nil {
		return nil
	}
	i, err := at.Volume().Info()
	if err != nil {
		return err
	}
	return l.printf("%s", describe(volumeName(at.String()), i))
}

// foot counts.
func (l *lister) foot(dir string) error {
	if l.has("s") {
		if err := l.printf("\nIn all: %s, %s bytes\n", plural(l.files, "file", "files"), grouped(l.bytes)); err != nil {
			return err
		}
	}
	if u, err := l.ns.UsageAt(dir); err == nil && u.FreeBytes >= 0 {
		return l.printf("%28s bytes free\n", grouped(u.FreeBytes))
	}
	return nil
}

// maxDirDepth bounds /s: a hostile tree could be deep.
const maxDirDepth = 1000

// directory lists one directory, and those below with /s. It reports whether
// anything was found.
func (l *lister) directory(dir, pattern string, depth int) (bool, error) {
	if depth > maxDirDepth {
		return false, fmt.Errorf("%s: directories are nested too deeply", dir)
	}
	all, err := l.list(dir)
	if err != nil {
		return false, err
	}
	var shown []item
	for _, i := range all {
		ok, err := l.shows(i, pattern)
		if err != nil {
			return false, err
		}
		if ok {
			shown = append(shown, i)
		}
	}
	l.sort(shown)
	found := len(shown) > 0 || pattern == "*" || pattern == "*.*"
	if len(shown) > 0 || !l.has("s") {
		if err := l.show(dir, shown); err != nil {
			return false, err
		}
	}
	if !l.has("s") {
		return found, nil
	}
	for _, i := range all {
		if i.info.IsDir() {
			sub, err := l.directory(i.path, pattern, depth+1)
			if err != nil {
				return false, err
			}
			found = found || sub
		}
	}
	return found, nil
}

// shows reports whether a file is listed.
func (l *lister) shows(i item, pattern string) (bool, error) {
	if !match(pattern, i.info.Name()) {
		return false, nil
	}
	if !l.all {
		h, err := l.hidden(i)
		return !h, err
	}
	if l.dirs > 0 && !i.info.IsDir() || l.dirs < 0 && i.info.IsDir() {
		return false, nil
	}
	if l.want|l.not == 0 {
		return true, nil
	}
	a, err := l.ns.Attr(i.path)
	return a&l.want == l.want && a&l.not == 0, err
}

// sort orders a list as /o says.
func (l *lister) sort(list []item) {
	if !l.has("o") {
		return
	}
	order := l.order
	if order == "" {
		order = "gn"
	}
	slices.SortStableFunc(list, func(a, b item) int {
		sign := 1
		for _, r := range order {
			by := 0
			switch r {
			case '-':
				sign = -1
				continue
			case 'n':
				by = strings.Compare(strings.ToUpper(a.info.Name()), strings.ToUpper(b.info.Name()))
			case 'e':
				by = strings.Compare(strings.ToUpper(path.Ext(a.info.Name())), strings.ToUpper(path.Ext(b.info.Name())))
			case 's':
				by = cmp.Compare(a.info.Size(), b.info.Size())
			case 'd':
				by = a.info.ModTime().Compare(b.info.ModTime())
			case 'g':
				by = cmp.Compare(rank(a.info), rank(b.info))
			}
			if by != 0 {
				return sign * by
			}
			sign = 1
		}
		return 0
	})
}

// rank puts directories first.
func rank(fi fs.FileInfo) int {
	if fi.IsDir() {
		return 0
	}
	return 1
}

// show prints one directory's list.
func (l *lister) show(dir string, list []item) error {
	if l.bare {
		for _, i := range list {
			name := i.info.Name()
			if l.has("s") {
				name = i.path
			}
			if err := l.printf("%s\n", show(name)); err != nil {
				return err
			}
		}
		return nil
	}
	at, err := l.ns.Locate(dir)
	if err != nil {
		return err
	}
	if err := l.printf("\n Directory of %s\n\n", show(at.String())); err != nil {
		return err
	}
	if l.has("w") {
		err = l.wide(list)
	} else {
		err = l.long(list)
	}
	if err != nil {
		return err
	}
	var files, dirs, bytes int64
	for _, i := range list {
		if i.info.IsDir() {
			dirs++
			continue
		}
		files++
		bytes += i.info.Size()
	}
	l.files += files
	l.bytes += bytes
	return l.printf("%10s %17s bytes   %s\n", plural(files, "file", "files"), grouped(bytes), plural(dirs, "directory", "directories"))
}

// long prints a line a file.
func (l *lister) long(list []item) error {
	for _, i := range list {
		size := grouped(i.info.Size())
		switch mode := i.info.Mode(); {
		case mode.IsDir():
			size = "<DIR>        "
		case mode&fs.ModeSymlink != 0:
			size = "<LINK>       "
		}
		when := i.info.ModTime().Format("2006-01-02  15:04")
		if i.info.ModTime().IsZero() {
			when = strings.Repeat(" ", 17)
		}
		if err := l.printf("%s %16s %s\n", when, size, show(i.info.Name())); err != nil {
			return err
		}
	}
	return nil
}

// wide prints names in columns.
func (l *lister) wide(list []item) error {
	names, width := []string{}, 0
	for _, i := range list {
		name := show(i.info.Name())
		if i.info.IsDir() {
			name = "[" + name + "]"
		}
		names = append(names, name)
		width = max(width, len([]rune(name))+2)
	}
	return c80(names, width, l.printf)
}

// c80 prints words in columns of a width, on lines of 80 characters.
func c80(names []string, width int, printf func(string, ...any) error) error {
	columns := max(80/max(width, 1), 1)
	for n, name := range names {
		end := strings.Repeat(" ", max(width-len([]rune(name)), 0))
		if n%columns == columns-1 || n == len(names)-1 {
			end = "\n"
		}
		if err := printf("%s%s", name, end); err != nil {
			return err
		}
	}
	return nil
}
