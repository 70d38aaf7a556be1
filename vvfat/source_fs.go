package vvfat

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// fsSource is a tree of io/fs.
type fsSource struct{ fsys fs.FS }

var _ source = (*fsSource)(nil)

// maxLinkHops is the number of links in a row that are followed, as Linux has
// it (path_resolution(7)).
const maxLinkHops = 40

// errTooManyLinks says that a link leads to itself, or might as well.
var errTooManyLinks = errors.New("too many levels of symbolic links")

func (s *fsSource) name() string { return "." }

func (s *fsSource) list(dir string, l *hostfs.Listing) error {
	l.Reset()
	entries, err := fs.ReadDir(s.fsys, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.Vanished++
		case err != nil:
			l.Add(e.Name(), hostfs.Entry{Err: err})
		default:
			l.Add(e.Name(), hostfs.Entry{Stat: fsStat(info)})
		}
	}
	return nil
}

func (s *fsSource) stat(name string) (hostfs.Stat, error) {
	info, err := fs.Lstat(s.fsys, name)
	if err != nil {
		return hostfs.Stat{}, err
	}
	return fsStat(info), nil
}

// resolve follows links by their text, one component at a time, and never
// above the root.
func (s *fsSource) resolve(name string) (string, error) {
	done, todo, hops := ".", name, 0
	for todo != "" {
		part, rest, _ := strings.Cut(todo, "/")
		todo = rest
		switch part {
		case "", ".":
			continue
		case "..":
			if done == "." {
				return "", hostfs.ErrOutside
			}
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		info, err := fs.Lstat(s.fsys, next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if hops++; hops > maxLinkHops {
			return "", errTooManyLinks
		}
		target, err := fs.ReadLink(s.fsys, next)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(target, "/") {
			return "", hostfs.ErrOutside
		}
		todo = target + "/" + todo
	}
	return done, nil
}

func (s *fsSource) open(name string) (content, hostfs.Stat, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, hostfs.Stat{}, err
	}
	c := &fsContent{File: f}
	if r, ok := f.(io.ReaderAt); ok {
		c.at = r
	} else {
		c.at = &skipReader{src: s, name: name, file: f}
	}
	st, err := c.Stat()
	if err == nil && !st.Mode.IsRegular() {
		err = hostfs.ErrNotRegular
	}
	if err != nil {
		f.Close()
		return nil, st, err
	}
	return c, st, nil
}

// Close does nothing: whoever made the file system closes it.
func (s *fsSource) Close() error { return nil }

// fsStat is what io/fs knows of a file.
func fsStat(info fs.FileInfo) hostfs.Stat {
	t := info.ModTime()
	return hostfs.Stat{
		Size:  info.Size(),
		Mtime: hostfs.Nanoseconds(t.Unix(), int64(t.Nanosecond())),
		Atime: hostfs.NoTime,
		Btime: hostfs.NoTime,
		Mode:  info.Mode(),
	}
}

// fsContent is an open file of io/fs.
type fsContent struct {
	fs.File
	at io.ReaderAt
}

var _ content = (*fsContent)(nil)

func (c *fsContent) ReadAt(p []byte, off int64) (int, error) { return c.at.ReadAt(p, off) }

func (c *fsContent) ReadAtCached([]byte, int64) (int, error) { return 0, hostfs.ErrWouldWait }

func (c *fsContent) Stat() (hostfs.Stat, error) {
	stat := c.File.Stat
	if s, ok := c.at.(*skipReader); ok {
		stat = s.stat
	}
	info, err := stat()
	if err != nil {
		return hostfs.Stat{}, err
	}
	return fsStat(info), nil
}

// OSFile returns nil: even where an *os.File is behind it, a wrapper may have
// changed what its bytes mean.
func (c *fsContent) OSFile() *os.File { return nil }

func (c *fsContent) Close() error {
	if s, ok := c.at.(*skipReader); ok {
		return s.close()
	}
	return c.File.Close()
}

// skipReader reads a file at any place that can only be read in order.
type skipReader struct {
	src  *fsSource
	name string

	mu   sync.Mutex
	file fs.File
	pos  int64 // where file is
}

func (r *skipReader) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.seek(off); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r.file, p)
	r.pos += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// seek makes off the next byte of the file. The caller holds mu.
func (r *skipReader) seek(off int64) error {
	if off < r.pos {
		f, err := r.src.fsys.Open(r.name)
		if err != nil {
			return err
		}
		r.file.Close()
		r.file, r.pos = f, 0
	}
	n, err := io.CopyN(io.Discard, r.file, off-r.pos)
	r.pos += n
	return err
}

func (r *skipReader) stat() (fs.FileInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Stat()
}

func (r *skipReader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
}
