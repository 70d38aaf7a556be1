package drivers

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// Limits of archives, which come from anywhere.
const (
	maxMembers = 4 << 20 // files and directories
	maxElems   = 1000    // elements of a path
	maxLinks   = 40      // symbolic links that are followed for one name
)

// archive is the tree of an archive: an index in memory, built once. It
// resolves symbolic links itself; one that is absolute begins at the root of
// the archive, and none leads out of it.
type archive struct{ root *member }

var (
	_ fs.StatFS     = (*archive)(nil)
	_ fs.ReadDirFS  = (*archive)(nil)
	_ fs.ReadLinkFS = (*archive)(nil)
)

// member is a file, directory or link of an archive. It is the fs.FileInfo and
// fs.DirEntry of itself.
type member struct {
	name     string
	mode     fs.FileMode
	size     int64
	modified time.Time
	target   string                        // of a symbolic link
	open     func() (io.ReadCloser, error) // of a file
	children map[string]*member            // of a directory
}

func (m *member) Name() string               { return m.name }
func (m *member) Size() int64                { return m.size }
func (m *member) Mode() fs.FileMode          { return m.mode }
func (m *member) Type() fs.FileMode          { return m.mode.Type() }
func (m *member) ModTime() time.Time         { return m.modified }
func (m *member) IsDir() bool                { return m.mode.IsDir() }
func (m *member) Sys() any                   { return nil }
func (m *member) Info() (fs.FileInfo, error) { return m, nil }

// builder makes an archive's index.
type builder struct {
	root    *member
	members int
}

func newBuilder() *builder { return &builder{root: newDirectory(".")} }

func newDirectory(name string) *member {
	return &member{name: name, mode: fs.ModeDir | 0o555, children: map[string]*member{}}
}

// add puts a member at a name, as archives write it. The last one of a name
// counts. What is called like no name of io/fs is left out.
func (b *builder) add(written string, m *member) error {
	name := strings.TrimPrefix(path.Clean("/"+written), "/")
	if name == "" || !fs.ValidPath(name) || strings.Count(name, "/") >= maxElems {
		return nil
	}
	dir, last := path.Split(name)
	parent, err := b.directory(dir)
	if err != nil {
		return err
	}
	m.name = last
	if old := parent.children[last]; old == nil {
		if err := b.count(written); err != nil {
			return err
		}
	} else if old.IsDir() && m.IsDir() {
		old.mode, old.modified = m.mode, m.modified
		return nil
	}
	parent.children[last] = m
	return nil
}

// count counts a new member.
func (b *builder) count(name string) error {
	if b.members++; b.members > maxMembers {
		return fmt.Errorf("%s: the archive has more than %d members", name, maxMembers)
	}
	return nil
}

// directory returns the directory called name, and makes it if need be.
func (b *builder) directory(name string) (*member, error) {
	at := b.root
	for part := range strings.SplitSeq(name, "/") {
		if part == "" {
			continue
		}
		next := at.children[part]
		if next == nil || !next.IsDir() {
			if err := b.count(name); err != nil {
				return nil, err
			}
			next = newDirectory(part)
			at.children[part] = next
		}
		at = next
	}
	return at, nil
}

// errLoop says that links lead to links for too long.
var errLoop = errors.New("too many symbolic links")

// find returns the member called name. A link at the end is followed if follow
// is set.
func (a *archive) find(op, name string, follow bool) (*member, error) {
	fail := func(err error) (*member, error) { return nil, &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	rest := strings.Split(name, "/")
	trail := []*member{a.root} // the directories from the root to here
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		dir := trail[len(trail)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(trail) > 1 {
				trail = trail[:len(trail)-1]
			}
			continue
		}
		m := dir.children[part]
		switch {
		case m == nil:
			return fail(fs.ErrNotExist)
		case m.mode&fs.ModeSymlink != 0 && (len(rest) > 0 || follow):
			if links++; links > maxLinks {
				return fail(errLoop)
			}
			if strings.HasPrefix(m.target, "/") {
				trail = trail[:1]
			}
			rest = append(strings.Split(m.target, "/"), rest...)
		case m.IsDir():
			trail = append(trail, m)
		case len(rest) > 0:
			return fail(vfs.ErrNotDir)
		default:
			return m, nil
		}
	}
	return trail[len(trail)-1], nil
}

// Stat implements fs.StatFS.
func (a *archive) Stat(name string) (fs.FileInfo, error) { return a.info("stat", name, true) }

// Lstat implements fs.ReadLinkFS.
func (a *archive) Lstat(name string) (fs.FileInfo, error) { return a.info("lstat", name, false) }

func (a *archive) info(op, name string, follow bool) (fs.FileInfo, error) {
	m, err := a.find(op, name, follow)
	if err != nil {
		return nil, err
	}
	if base := path.Base(name); m.name != base { // reached by a link
		other := *m
		other.name = base
		m = &other
	}
	return m, nil
}

// ReadLink implements fs.ReadLinkFS.
func (a *archive) ReadLink(name string) (string, error) {
	m, err := a.find("readlink", name, false)
	if err == nil && m.mode&fs.ModeSymlink == 0 {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return m.target, nil
}

// ReadDir implements fs.ReadDirFS.
func (a *archive) ReadDir(name string) ([]fs.DirEntry, error) {
	m, err := a.find("readdir", name, true)
	if err == nil && !m.IsDir() {
		err = &fs.PathError{Op: "readdir", Path: name, Err: vfs.ErrNotDir}
	}
	if err != nil {
		return nil, err
	}
	return m.list(), nil
}

// list returns the children by name.
func (m *member) list() []fs.DirEntry {
	list := make([]fs.DirEntry, 0, len(m.children))
	for _, c := range m.children {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

// Open implements fs.FS.
func (a *archive) Open(name string) (fs.File, error) {
	fi, err := a.info("open", name, true)
	if err != nil {
		return nil, err
	}
	m := fi.(*member)
	if m.IsDir() {
		return &archiveDir{m, name, m.list()}, nil
	}
	if m.open == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("is a special file (%v): %w", m.mode.Type(), fs.ErrPermission)}
	}
	r, err := m.open()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := archiveFile{r, m}
	if s, ok := r.(sectionReader); ok {
		return &archiveSection{archiveFile{r, m}, s}, nil
	}
	return &f, nil
}

// sectionReader is the content of a file that lies in the archive as it is.
type sectionReader struct{ *io.SectionReader }

func (sectionReader) Close() error { return nil }

// archiveFile is an open file that can be read from its start to its end.
type archiveFile struct {
	io.ReadCloser
	m *member
}

func (f *archiveFile) Stat() (fs.FileInfo, error) { return f.m, nil }

// archiveSection is an open file that can be read anywhere.
type archiveSection struct {
	archiveFile
	section sectionReader
}

func (f *archiveSection) ReadAt(p []byte, off int64) (int, error) { return f.section.ReadAt(p, off) }
func (f *archiveSection) Seek(off int64, whence int) (int64, error) {
	return f.section.Seek(off, whence)
}

// archiveDir is an open directory.
type archiveDir struct {
	m    *member
	name string
	list []fs.DirEntry // that ReadDir has not returned yet
}

func (d *archiveDir) Stat() (fs.FileInfo, error) { return d.m, nil }
func (d *archiveDir) Close() error               { return nil }

func (d *archiveDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: vfs.ErrIsDir}
}

func (d *archiveDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.list) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.list) {
		n = len(d.list)
	}
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}
