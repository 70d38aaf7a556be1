package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/volume"
)

// session is one run of a verb that works on places inside images. It opens
// each image once. What is written to must be opened before what is read.
type session struct {
	ctx    context.Context
	flags  *volumeFlags
	out    io.Writer // collects, unless it is a terminal
	outBuf *bufio.Writer
	errOut io.Writer
	bar    *progressBar      // to be taken away before something is printed; may be nil
	mounts stack.Mounts      // the FAT volumes
	others *volume.Namespace // what else there is; nil until there is any
	// otherAt says where in others something is mounted, which nobody sees.
	otherAt map[otherKey]string
	drives  stack.DriveTable // nil until one is asked for
	close   []func() error
}

// withSession runs a verb in a session, which ends with the first signal. What
// was changed is on the disk when it returns nil.
func withSession(cmd *cobra.Command, flags *volumeFlags, run func(*session) error) error {
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	s := &session{ctx: ctx, flags: flags, out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr()}
	if !isTerminal(s.out) {
		s.outBuf = bufio.NewWriterSize(s.out, 64<<10)
		s.out = s.outBuf
	}
	err := run(s)
	s.bar.finish()
	if ferr := s.flush(); err == nil {
		err = ferr
	}
	if cerr := s.release(); cerr != nil {
		if err != nil && !errors.Is(err, fileops.ErrFailed) {
			s.tell(err)
		}
		err = cerr
	}
	if errors.Is(err, fileops.ErrFailed) {
		return exitWith(exitFailed)
	}
	return err
}

// release closes what the session has opened. Its error is that of the last
// changes to images.
func (s *session) release() error {
	var err error
	if s.others != nil {
		err = s.others.Close()
	}
	err = errors.Join(err, s.mounts.Close())
	for _, c := range s.close {
		c() // directories of the host, in which everything was reported
	}
	return err
}

// flush prints what was collected.
func (s *session) flush() error {
	if s.outBuf == nil {
		return nil
	}
	return s.outBuf.Flush()
}

// tell prints what is wrong with one object; the verb goes on.
func (s *session) tell(err error) {
	s.bar.finish()
	s.flush() // its error is that of the next flush as well
	fmt.Fprintln(s.errOut, "fatkit: "+printable(oneLine(err.Error())))
}

// parse reads a location. One on a drive gets the name of what the drive stands
// for as its image.
func (s *session) parse(text string) (stack.Location, error) {
	syntax := stack.LocationSyntax{Image: s.flags.image, Windows: runtime.GOOS == "windows"}
	if len(text) > 1 && text[1] == ':' {
		if err := s.loadDrives(); err != nil {
			return stack.Location{}, err
		}
		syntax.Drives = s.drives
	}
	l, err := stack.ParseLocation(text, syntax)
	if err != nil {
		return l, &exitError{exitUsage, err}
	}
	if l.Kind == stack.InDrive {
		l.Image = s.drives[l.Drive].Name
	}
	return l, nil
}

// loadDrives reads which letters are drives.
func (s *session) loadDrives() (err error) {
	if s.drives == nil {
		s.drives, err = s.flags.drives.table()
	}
	return err
}

// options returns how the volume that a location is in is opened.
func (s *session) options(l stack.Location, writable bool) (stack.FileSystemOptions, error) {
	o, err := s.flags.options(writable)
	if err != nil || l.Kind != stack.InDrive {
		return o, err
	}
	d := s.drives[l.Drive]
	if d.Volume != (stack.VolumeChoice{}) {
		d.Volume.SectorBytes = o.Volume.SectorBytes
		o.Volume = d.Volume
	}
	if d.Format != "" {
		o.Image.Format = d.Format
	}
	if writable && d.Access == stack.AccessRead {
		return o, fmt.Errorf("drive %c: %w, by its definition", l.Drive, diskerr.ErrReadOnly)
	}
	return o, nil
}

// parseInside reads a location that is in an image. The name of an image alone
// stands for its root if bare is set.
func (s *session) parseInside(text string, bare bool) (stack.Location, error) {
	l, err := s.parse(text)
	switch {
	case err != nil || l.Inside():
		return l, err
	case bare && l.Kind == stack.OnHost:
		return stack.Location{Kind: stack.InImage, Text: text + ":/", Image: text, Path: "."}, nil
	}
	return l, usageError("%s is no place inside an image: write IMAGE:/PATH", text)
}

// volume opens the FAT volume that a location is in.
func (s *session) volume(l stack.Location, writable bool) (*stack.FileSystem, error) {
	o, err := s.options(l, writable)
	if err != nil {
		return nil, err
	}
	o.Image.Warn = func(text string) { s.tell(fmt.Errorf("warning: %s: %s", l.Image, text)) }
	return s.mounts.Open(s.ctx, l.Image, o)
}

// place opens the tree that a location is in.
func (s *session) place(l stack.Location, writable bool) (fileops.Place, error) {
	switch {
	case l.Kind == stack.OnHost && (stack.IsURI(l.Path) || stack.IsFatName(l.Path)):
		return fileops.Place{}, usageError("%s is a disk: write %s:/PATH for a place in it", l.Path, l.Path)
	case l.Kind == stack.OnHost:
		p, closer, err := fileops.Host(l.Path)
		if err == nil {
			s.close = append(s.close, closer)
		}
		return p, err
	}
	tree, err := s.tree(l, writable)
	if err != nil {
		return fileops.Place{}, err
	}
	p := fileops.Place{FS: tree, Path: l.Path, Tree: l.Image + ":/", DirOnly: l.DirOnly && l.Path != ".", Base: "."}
	if l.Image == s.flags.image && len(l.Text) > 1 && l.Text[:2] == "::" {
		p.Tree = "::/"
	}
	if l.Kind == stack.InDrive {
		p.Tree = string(l.Drive) + ":/"
	}
	if l.Path != "." {
		p = fileops.Place{FS: p.FS, Path: ".", Tree: p.Tree}.Join(l.Path)
		p.DirOnly = l.DirOnly
	}
	return p, nil
}

// expand opens the places that texts mean, all of them inside images, with
// wildcards expanded.
func (s *session) expand(texts []string, writable, bare bool) ([]fileops.Place, error) {
	var all []fileops.Place
	for _, text := range texts {
		l, err := s.parseInside(text, bare)
		if err != nil {
			return nil, err
		}
		p, err := s.place(l, writable)
		if err != nil {
			return nil, err
		}
		matches, err := fileops.Glob(s.ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, matches...)
	}
	return all, nil
}

// each calls do for each place. An error is told, and the others follow.
func (s *session) each(places []fileops.Place, do func(fileops.Place) error) error {
	failed := false
	for _, p := range places {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := do(p); err != nil {
			failed = true
			s.tell(err)
		}
	}
	if failed {
		return fileops.ErrFailed
	}
	return nil
}
