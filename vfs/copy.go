package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// LinkPolicy says what [Copy] does with a symbolic link.
type LinkPolicy uint8

const (
	// FollowLinks copies what the link leads to.
	FollowLinks LinkPolicy = iota
	// SkipLinks leaves links out.
	SkipLinks
	// KeepLinks makes a link in the target.
	KeepLinks
)

// CopyOptions tune [Copy]. The zero value copies a single file or a whole
// tree, replaces files that exist, and stops at the first error.
type CopyOptions struct {
	// NoTree refuses a directory with fs.ErrInvalid.
	NoTree bool
	// NoReplace leaves files alone that exist in the target.
	NoReplace bool
	// Force replaces an existing file by a new one if it cannot be written to,
	// as one that is read-only.
	Force bool
	// Replace, if not nil, is asked before an existing file is replaced.
	Replace func(name string, old, by fs.FileInfo) bool
	// Preserve keeps times and attributes.
	Preserve bool
	// Links says what happens to symbolic links.
	Links LinkPolicy
	// Started, if not nil, sees each object before it is copied.
	Started func(from, to string, fi fs.FileInfo)
	// Progress, if not nil, sees what has been copied so far, at least once
	// for each buffer.
	Progress func(Tally)
	// Failed, if not nil, gets the error of one object. If it returns nil, the
	// copy goes on without that object.
	Failed func(name string, err error) error
}

// TargetError is an error of [Copy] that came from the target. What it is
// about has the name that it has there.
type TargetError struct{ Err error }

func (e *TargetError) Error() string { return e.Err.Error() }

func (e *TargetError) Unwrap() error { return e.Err }

// PartialError is an error of [Copy] about a file that was there before, which
// now holds nothing or a part of what should have replaced it.
type PartialError struct {
	Name string // in the target
	Err  error  // why the copy ended
}

func (e *PartialError) Error() string { return e.Err.Error() + "; " + e.Name + " is left incomplete" }

func (e *PartialError) Unwrap() error { return e.Err }

// ofTarget marks an error as one of the target.
func ofTarget(err error) error {
	if err == nil {
		return nil
	}
	return &TargetError{err}
}

// copyBufferBytes is the size of each of the two buffers of a copy.
const copyBufferBytes = 1 << 20

// Copy copies from of src to the name to of dst. A directory is merged into
// one that exists. It returns what was copied, also with an error.
//
// An object that is neither file, directory nor link is an error. A file that
// could not be copied whole and did not exist before is removed again; about one
// that did the error is a [PartialError].
func Copy(ctx context.Context, dst FS, to string, src fs.FS, from string, o CopyOptions) (Tally, error) {
	c := &copier{ctx: ctx, dst: dst, src: src, o: o}
	defer c.release()
	fi, err := c.stat(from)
	if err == nil && fi.IsDir() && o.NoTree {
		err = &fs.PathError{Op: "copy", Path: from, Err: fmt.Errorf("is a directory: %w", fs.ErrInvalid)}
	}
	if err != nil {
		return c.done, c.fail(from, err)
	}
	return c.done, c.object(to, sighting{name: from, fi: fi}, 0)
}

// copier is one call of Copy.
type copier struct {
	ctx  context.Context
	dst  FS
	src  fs.FS
	o    CopyOptions
	done Tally
	pipe *pipe // made for the first file

	spare chan []byte // memory for files that are read before their turn
}

// stat looks at an object of the source as the link policy says.
func (c *copier) stat(name string) (fs.FileInfo, error) {
	fi, err := Lstat(c.src, name)
	if err != nil {
		return nil, err
	}
	return c.resolve(name, fi)
}

// resolve follows a link if the policy says so.
func (c *copier) resolve(name string, fi fs.FileInfo) (fs.FileInfo, error) {
	if c.o.Links == FollowLinks && fi.Mode()&fs.ModeSymlink != 0 {
		return fs.Stat(c.src, name)
	}
	return fi, nil
}

// fail hands an error to the caller's function, if there is one. The end of
// the context is nobody's to ignore.
func (c *copier) fail(name string, err error) error {
	if err == nil || c.ctx.Err() != nil || c.o.Failed == nil {
		return err
	}
	return c.o.Failed(name, err)
}

func (c *copier) progress() {
	if c.o.Progress != nil {
		c.o.Progress(c.done)
	}
}

// object copies whatever s is.
func (c *copier) object(to string, s sighting, depth int) error {
	from, fi := s.name, s.fi
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return c.fail(from, &fs.PathError{Op: "copy", Path: from, Err: errTooDeep})
	}
	if c.o.Started != nil {
		c.o.Started(from, to, fi)
	}
	mode := fi.Mode()
	switch {
	case mode.IsDir():
		return c.dir(to, from, fi, depth)
	case mode.IsRegular():
		return c.fail(from, c.file(to, s))
	case mode&fs.ModeSymlink != 0:
		return c.fail(from, c.link(to, from))
	}
	return c.fail(from, &fs.PathError{Op: "copy", Path: from, Err: errors.New("is no file, directory or link")})
}

// dir copies a directory. Its times are set last, because what is created in
// it changes them.
func (c *copier) dir(to, from string, fi fs.FileInfo, depth int) error {
	if err := mkdirIfAbsent(c.dst, to, 0o777); err != nil {
		return c.fail(from, ofTarget(err))
	}
	entries, err := fs.ReadDir(c.src, from)
	if err != nil {
		return c.fail(from, err)
	}
	look := c.lookAhead(from, entries)
	defer look.stop()
	for _, e := range entries {
		s := look.next()
		if s.err == nil {
			err = c.object(path.Join(to, e.Name()), s, depth+1)
		} else {
			err = c.fail(s.name, s.err)
		}
		c.giveBack(s.content)
		if err != nil {
			return err
		}
	}
	c.done.Dirs++
	c.progress()
	if c.o.Preserve && to != "." {
		return c.fail(from, c.preserve(to, from, fi))
	}
	return nil
}

// link copies a symbolic link by the policy.
func (c *copier) link(to, from string) error {
	if c.o.Links == SkipLinks {
		return nil
	}
	target, err := fs.ReadLink(c.src, from)
	if err != nil {
		return err
	}
	if err := Symlink(c.dst, target, to); err != nil {
		return ofTarget(err)
	}
	c.done.Other++
	return nil
}

// file copies one regular file.
func (c *copier) file(to string, s sighting) error {
	var in fs.File
	if s.content == nil {
		var err error
		if in, err = c.src.Open(s.name); err != nil {
			return err
		}
		defer in.Close()
	}
	out, exists, err := c.create(to, s.fi)
	if err != nil || out == nil {
		return ofTarget(err)
	}
	err = c.fill(out, in, s)
	switch {
	case err != nil && exists:
		return &PartialError{to, err}
	case err == nil && c.o.Preserve:
		err = c.preserve(to, s.name, s.fi)
	}
	if err != nil {
		if !exists {
			err = errors.Join(err, c.dst.Remove(to))
		}
		return err
	}
	c.done.Files++
	c.progress()
	return nil
}

// fill gives a file, which it closes, its content: what was read ahead, or that
// of in.
func (c *copier) fill(out File, in fs.File, s sighting) error {
	err := ofTarget(Reserve(out, s.fi.Size()))
	switch {
	case err != nil:
	case in == nil:
		err = c.write(out, s.content)
	default:
		err = c.bytes(out, in, s.fi.Size())
	}
	if cerr := out.Close(); err == nil {
		err = ofTarget(cerr)
	}
	return err
}

// create opens a file of the target, which is empty then. It returns nil for
// one that is to be left alone. exists says that it was there.
func (c *copier) create(to string, by fs.FileInfo) (out File, exists bool, err error) {
	const fresh = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	out, err = c.dst.OpenFile(to, fresh, 0o666)
	if !errors.Is(err, fs.ErrExist) {
		return out, false, err
	}
	old, serr := fs.Stat(c.dst, to)
	if serr == nil && (c.o.NoReplace || c.o.Replace != nil && !c.o.Replace(to, old, by)) {
		c.done.Kept++
		return nil, true, nil
	}
	out, err = c.dst.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if c.o.Force && errors.Is(err, fs.ErrPermission) && serr == nil && old.Mode().IsRegular() {
		if err = c.dst.Remove(to); err == nil {
			out, err = c.dst.OpenFile(to, fresh, 0o666)
		}
		return out, false, err
	}
	return out, true, err
}

// preserve sets times and attributes of a copy. What the target cannot keep is
// left out silently, since no copy could keep it.
func (c *copier) preserve(to, from string, fi fs.FileInfo) error {
	err := Chtimes(c.dst, to, TimesOf(fi))
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return ofTarget(err)
	}
	attr, known := Attr(0), AttrReadOnly
	if _, ok := c.src.(AttrFS); ok {
		known |= AttrHidden | AttrSystem | AttrArchive
		if attr, err = GetAttr(c.src, from); err != nil {
			return err
		}
	} else if !fi.IsDir() && fi.Mode().Perm()&0o200 == 0 {
		attr = AttrReadOnly
	}
	if known == AttrReadOnly && attr == 0 {
		return nil // a new file is like that, and one that was replaced could be written to
	}
	if _, ok := c.dst.(AttrFS); !ok && attr&AttrReadOnly == 0 {
		return nil // likewise
	}
	err = SetAttr(c.dst, to, attr&known, known&^attr)
	if errors.Is(err, errors.ErrUnsupported) {
		err = SetAttr(c.dst, to, attr&AttrReadOnly, 0)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return ofTarget(err)
}

// bytes copies the content. A small file goes through one buffer; a large one
// is read by a second goroutine while the bytes before are written.
func (c *copier) bytes(out io.Writer, in io.Reader, sizeBytes int64) error {
	if sizeBytes >= minHostCopyBytes {
		done, err := c.hostBytes(out, in, sizeBytes)
		if done || err != nil {
			return err
		}
	}
	if c.pipe == nil {
		c.pipe = pipes.Get().(*pipe)
	}
	if sizeBytes >= 2*copyBufferBytes {
		return c.pipe.copy(c, out, in)
	}
	buf := c.pipe.bufs[0]
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, rerr := in.Read(buf)
		if err := c.write(out, buf[:n]); err != nil {
			return err
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}

const (
	// minHostCopyBytes is the size from which it pays to copy between files of
	// the host inside its kernel.
	minHostCopyBytes = 256 << 10
	// hostCopyBytes is how much is copied so between two looks at the context.
	hostCopyBytes = 32 << 20
)

// hostBytes copies the content from an open file of the host, if the target can
// take it without passing it through our memory. done is false if it cannot.
func (c *copier) hostBytes(out io.Writer, in io.Reader, sizeBytes int64) (done bool, err error) {
	w, ok := out.(FileWriter)
	src, ok2 := in.(*os.File)
	if !ok || !ok2 {
		return false, nil
	}
	for off := int64(0); off < sizeBytes; {
		if err := c.ctx.Err(); err != nil {
			return false, err
		}
		n := min(hostCopyBytes, sizeBytes-off)
		err := w.WriteFile(off, src, off, n)
		if off == 0 && errors.Is(err, errors.ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		off += n
		c.done.Bytes += n
		c.progress()
	}
	return true, nil
}

// write writes what was read and counts it.
func (c *copier) write(out io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := out.Write(p); err != nil {
		return ofTarget(err)
	}
	c.done.Bytes += int64(len(p))
	c.progress()
	return nil
}

// pipe overlaps reading and writing with two buffers.
type pipe struct {
	bufs [2][]byte
}

func newPipe() *pipe {
	return &pipe{bufs: [2][]byte{make([]byte, copyBufferBytes), make([]byte, copyBufferBytes)}}
}

// piece is a buffer that was filled.
type piece struct {
	bytes []byte
	err   error
}

// copy returns when both sides have ended.
func (p *pipe) copy(c *copier, out io.Writer, in io.Reader) error {
	empty := make(chan []byte, len(p.bufs))
	full := make(chan piece, len(p.bufs))
	for _, b := range p.bufs {
		empty <- b
	}
	go func() {
		defer close(full)
		for b := range empty {
			n, err := io.ReadFull(in, b)
			full <- piece{b[:n], err}
			if err != nil {
				return
			}
		}
	}()
	var failed error
	for f := range full {
		if failed == nil {
			failed = c.ctx.Err()
		}
		if failed == nil {
			failed = c.write(out, f.bytes)
		}
		if f.err != nil {
			if failed == nil && f.err != io.EOF && f.err != io.ErrUnexpectedEOF {
				failed = f.err
			}
			continue
		}
		if failed != nil {
			close(empty) // the reader ends after what it has in hand
			for range full {
			}
			return failed
		}
		empty <- f.bytes[:copyBufferBytes]
	}
	return failed
}
