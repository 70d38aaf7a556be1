package fileops

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/fatkit/fatkit/vfs"
)

// streamBytes is the size of the buffer of a stream, and how much is copied
// between two looks at the context.
const streamBytes = 1 << 20

// Write copies everything from r into the file to, which it makes or replaces. A
// file that was made is removed again if that fails.
func Write(ctx context.Context, to Place, r io.Reader, o CopyOptions) (vfs.Tally, error) {
	var done vfs.Tally
	flags, exists := os.O_WRONLY|os.O_CREATE|os.O_TRUNC, false
	if fi, err := fs.Stat(to.FS, to.Path); err == nil {
		if fi.IsDir() || to.DirOnly {
			return done, &fs.PathError{Op: "copy", Path: to.String(), Err: errors.New("is a directory: standard input needs the name of a file")}
		}
		if exists = true; o.NoReplace || o.Replace != nil && !o.Replace(to.String()) {
			done.Kept++
			return done, nil
		}
		if o.Force && fi.Mode().Perm()&0o200 == 0 {
			if err := to.FS.Remove(to.Path); err != nil {
				return done, to.Wrap(err)
			}
			exists = false
		}
	}
	f, err := to.FS.OpenFile(to.Path, flags, 0o666)
	if err != nil {
		return done, to.Wrap(err)
	}
	done.Bytes, err = copyStream(ctx, f, r, func(n int64) {
		if o.Progress != nil {
			o.Progress(vfs.Tally{Bytes: n})
		}
	})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		if !exists {
			err = errors.Join(err, to.FS.Remove(to.Path))
		}
		return done, to.Wrap(err)
	}
	done.Files++
	return done, nil
}

// Read copies the content of the file from to w.
func Read(ctx context.Context, from Place, w io.Writer) error {
	fi, err := from.Stat()
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return &fs.PathError{Op: "read", Path: from.String(), Err: errors.New("is a directory")}
	}
	f, err := from.FS.Open(from.Path)
	if err != nil {
		return from.Wrap(err)
	}
	defer f.Close()
	_, err = copyStream(ctx, w, f, func(int64) {})
	return from.Wrap(err)
}

// copyStream copies r to w and tells how many bytes it has copied.
func copyStream(ctx context.Context, w io.Writer, r io.Reader, progress func(int64)) (int64, error) {
	buf := make([]byte, streamBytes)
	done := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		n, rerr := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return done, err
			}
			done += int64(n)
			progress(done)
		}
		switch rerr {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return done, nil
		default:
			return done, rerr
		}
	}
}
