package vvfat

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// source is where a tree and its contents come from. All methods but Close may
// be called concurrently. Paths are those of hostfs.
type source interface {
	// name is what messages call the root.
	name() string
	// list reads a directory.
	list(path string, l *hostfs.Listing) error
	// stat describes what path names, a link as itself.
	stat(path string) (hostfs.Stat, error)
	// resolve follows the link at path to its end within the source. The
	// errors are those of hostfs.FS.
	resolve(path string) (string, error)
	// open opens a file for reading, and describes it.
	open(path string) (content, hostfs.Stat, error)
	io.Closer
}

// content is an open file of a source. All methods but Close may be called
// concurrently.
type content interface {
	io.ReaderAt
	// ReadAtCached is that of hostfs.File.
	ReadAtCached(p []byte, off int64) (int, error)
	// Stat describes the file as it is now.
	Stat() (hostfs.Stat, error)
	// OSFile returns the open file of the operating system, or nil.
	OSFile() *os.File
	io.Closer
}

// ScanDir reads the directory dir of the host.
//
// It stops with an error at what cannot be shown, unless the options say to
// skip that. The tree keeps dir open; close it when it is no longer needed.
func ScanDir(ctx context.Context, dir string, o ScanOptions) (*Tree, error) {
	root, err := hostfs.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return scanAndOwn(ctx, hostSource{root}, o)
}

// ScanHost reads a tree of the host that is open already. It stays the
// caller's: closing the tree does not close it, and it must stay open until
// then.
func ScanHost(ctx context.Context, tree hostfs.FS, o ScanOptions) (*Tree, error) {
	return scan(ctx, borrowed{hostSource{tree}}, o)
}

// ScanFS reads any file system of io/fs, such as one embedded in a program or
// in a zip archive. The tree reads contents from fsys for as long as it lives.
//
// A file that has no io.ReaderAt is read from its beginning up to the wanted
// place, and opened again to go back; reading such files in order is cheap,
// at random it is not. Links are followed if fsys is an fs.ReadLinkFS.
func ScanFS(ctx context.Context, fsys fs.FS, o ScanOptions) (*Tree, error) {
	return scanAndOwn(ctx, &fsSource{fsys: fsys}, o)
}

// gone reports whether err means that a path leads no more to what it led to:
// to nothing, or to something of another kind.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, hostfs.ErrNotRegular) ||
		errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// scanAndOwn closes the source of a scan that fails.
func scanAndOwn(ctx context.Context, src source, o ScanOptions) (*Tree, error) {
	t, err := scan(ctx, src, o)
	if err != nil {
		src.Close()
		return nil, err
	}
	return t, nil
}

// hostSource is a directory of the host.
type hostSource struct{ fs hostfs.FS }

var _ source = hostSource{}

func (s hostSource) name() string                              { return s.fs.Name() }
func (s hostSource) list(path string, l *hostfs.Listing) error { return s.fs.ReadDir(path, l) }
func (s hostSource) stat(path string) (hostfs.Stat, error)     { return s.fs.Stat(path) }
func (s hostSource) resolve(path string) (string, error)       { return s.fs.Resolve(path) }
func (s hostSource) Close() error                              { return s.fs.Close() }

// borrowed is a host tree that belongs to somebody else.
type borrowed struct{ hostSource }

func (borrowed) Close() error { return nil }

func (s hostSource) open(path string) (content, hostfs.Stat, error) { return s.fs.Open(path) }
