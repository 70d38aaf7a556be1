//go:build !linux

package hostfs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Root is an open directory of the host. It implements [FS].
type Root struct {
	name, real string
	root       *os.Root
}

var _ FS = (*Root)(nil)

// OpenRoot opens the directory dir. Symbolic links in dir itself are followed.
func OpenRoot(dir string) (*Root, error) {
	real, err := realDir(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: underlying(err)}
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: underlying(err)}
	}
	return &Root{name: dir, real: real, root: root}, nil
}

// Close closes the directory. Files opened from it stay open.
func (r *Root) Close() error { return r.root.Close() }

// Stat implements [FS].
func (r *Root) Stat(path string) (Stat, error) {
	info, err := r.lstat("stat", path)
	if err != nil {
		return Stat{}, err
	}
	return statOf(info), nil
}

// lstat describes path after it has checked that none of the directories on
// the way is a link, which os.Root would follow.
func (r *Root) lstat(op, name string) (fs.FileInfo, error) {
	if err := checkPath(op, name); err != nil {
		return nil, err
	}
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		info, err := r.root.Lstat(filepath.FromSlash(name[:i]))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			err = ErrNotRegular
		}
		if err != nil {
			return nil, &fs.PathError{Op: op, Path: r.join(name), Err: underlying(err)}
		}
	}
	info, err := r.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: r.join(name), Err: underlying(err)}
	}
	return info, nil
}

// ReadDir implements [FS].
func (r *Root) ReadDir(name string, l *Listing) error {
	l.Reset()
	if info, err := r.lstat("readdir", name); err != nil {
		return err
	} else if info.Mode()&fs.ModeSymlink != 0 {
		return &fs.PathError{Op: "readdir", Path: r.join(name), Err: ErrNotRegular}
	}
	d, err := r.root.Open(filepath.FromSlash(name))
	if err != nil {
		return &fs.PathError{Op: "readdir", Path: r.join(name), Err: underlying(err)}
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return &fs.PathError{Op: "readdir", Path: r.join(name), Err: underlying(err)}
	}
	for _, base := range names {
		info, err := r.root.Lstat(filepath.FromSlash(path.Join(name, base)))
		switch {
		case os.IsNotExist(err):
			l.Vanished++
		case err != nil:
			l.Add(base, Entry{Err: underlying(err)})
		default:
			l.Add(base, Entry{Stat: statOf(info)})
		}
	}
	return nil
}

// Open implements [FS].
func (r *Root) Open(name string) (File, Stat, error) {
	info, err := r.lstat("open", name)
	if err != nil {
		return nil, Stat{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, Stat{}, &fs.PathError{Op: "open", Path: r.join(name), Err: ErrNotRegular}
	}
	f, err := r.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, Stat{}, &fs.PathError{Op: "open", Path: r.join(name), Err: underlying(err)}
	}
	// The name may have been exchanged since it was looked at.
	now, err := f.Stat()
	if err != nil || !os.SameFile(info, now) {
		f.Close()
		return nil, Stat{}, &fs.PathError{Op: "open", Path: r.join(name), Err: ErrNotRegular}
	}
	return &file{std: f}, statOf(now), nil
}

// file is an open regular file.
type file struct{ std *os.File }

var _ File = (*file)(nil)

// ReadAt implements [File].
func (f *file) ReadAt(p []byte, off int64) (int, error) { return f.std.ReadAt(p, off) }

// ReadAtCached implements [File]. There is no portable way to ask.
func (f *file) ReadAtCached([]byte, int64) (int, error) { return 0, ErrWouldWait }

// Stat implements [File].
func (f *file) Stat() (Stat, error) {
	info, err := f.std.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statOf(info), nil
}

// OSFile implements [File].
func (f *file) OSFile() *os.File { return f.std }

// Close implements [File].
func (f *file) Close() error { return f.std.Close() }

// portable is what io/fs knows of an inode: no access time, no creation time,
// no identity.
func portable(info fs.FileInfo) Stat {
	return Stat{
		Size:  info.Size(),
		Mtime: info.ModTime().UnixNano(),
		Atime: NoTime,
		Btime: NoTime,
		Mode:  info.Mode(),
	}
}
