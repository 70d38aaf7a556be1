package apply

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// newPrefix begins the names of what a Stager makes, and of nothing else.
const newPrefix = "new-"

func isNew(name string) bool { return strings.HasPrefix(name, newPrefix) }

// Stager makes the new files and directories of one plan in the stage folder.
// It is not for concurrent use.
type Stager struct {
	x     *Executor
	dirs  *dirTable
	files []string
	sub   []string
	// unsynced are the files while they are few. The syncs come last, as the
	// first of them often does the work of all.
	unsynced []hostfs.WFile
	many     bool // one sync of the file system is cheaper
}

// NewStager returns one that finds the directories of the tree in dirs, which
// become Plan.Dirs. Directories that the caller appends later need not be known
// to it.
func (x *Executor) NewStager(dirs []Dir) *Stager {
	return &Stager{x: x, dirs: x.newDirTable(dirs)}
}

// Object is an inode where it is known to be.
type Object struct {
	At Place
	ID hostfs.Identity
}

// Range is a range of bytes of a file.
type Range struct{ Off, Len int64 }

// Spec says what a new file or directory is like.
type Spec struct {
	// Like is an inode whose owner, mode and extended attributes the new one
	// takes over; else they follow from the directory In and Perm.
	Like *Object
	In   DirID
	Perm fs.FileMode // what the process's umask leaves of it
	// SetMode, ClearMode and Xattrs are applied after that.
	SetMode, ClearMode fs.FileMode
	Xattrs             []Xattr
	Atime, Mtime       int64 // or hostfs.NoTime

	// The rest is for files. Content holds SizeBytes.
	SizeBytes int64
	Content   io.ReaderAt
	// Clone is a file from which Content differs only in Dirty, or nil.
	Clone hostfs.File
	Dirty []Range
}

// ErrChanged says that Like is no longer there. Nothing was made.
var ErrChanged = errors.New("the host replaced, moved or removed the file")

// File makes a file. It is not durable before Sync.
func (s *Stager) File(ctx context.Context, spec *Spec) (Object, error) {
	at := s.newPlace()
	d := s.x.aside[Stage]
	f, err := d.Create(at.Name, spec.Perm)
	if err != nil {
		return Object{}, err
	}
	s.files = append(s.files, at.Name)
	err = spec.write(ctx, f)
	var id hostfs.Identity
	if err == nil {
		id, err = s.finish(f, spec)
	}
	if err != nil {
		return Object{}, errors.Join(err, f.Close(), s.drop(at.Name))
	}
	s.many = s.many || len(s.files) > maxSyncs
	if s.unsynced = append(s.unsynced, f); s.many {
		err = s.closeFiles()
	}
	return Object{at, id}, err
}

// closeFiles closes the files that are open for their sync.
func (s *Stager) closeFiles() error {
	var errs []error
	for _, f := range s.unsynced {
		errs = append(errs, f.Close())
	}
	s.unsynced = nil
	return errors.Join(errs...)
}

// drop removes a file that could not be completed.
func (s *Stager) drop(name string) error {
	s.files = s.files[:len(s.files)-1]
	return s.x.aside[Stage].Unlink(name)
}

func (s *Stager) newPlace() Place {
	s.x.made++
	var p [8]byte
	rand.Read(p[:]) // never fails
	return Place{Stage, fmt.Sprintf("%s%x-%d", newPrefix, p, s.x.made)}
}

// write fills the file.
func (spec *Spec) write(ctx context.Context, f hostfs.WFile) error {
	if spec.Clone == nil {
		if err := spec.copyRange(ctx, f, Range{0, spec.SizeBytes}, true); err != nil {
			return err
		}
		return f.Truncate(spec.SizeBytes)
	}
	if _, err := f.CloneFrom(spec.Clone); err != nil {
		return err
	}
	if err := f.Truncate(spec.SizeBytes); err != nil {
		return err
	}
	for _, r := range spec.Dirty {
		r.Len = min(r.Len, spec.SizeBytes-r.Off)
		if err := spec.copyRange(ctx, f, r, false); err != nil {
			return err
		}
	}
	return nil
}

// stageBytes is how much is copied at once, holeBytes what must be zero to be
// left out of a new file.
const (
	stageBytes = 1 << 20
	holeBytes  = 64 << 10
)

// copyRange copies a range of the contents, without the zeroes if the file has
// none but zeroes there.
func (spec *Spec) copyRange(ctx context.Context, f hostfs.WFile, r Range, sparse bool) error {
	buf := make([]byte, max(min(r.Len, stageBytes), 0))
	for at, end := r.Off, r.Off+r.Len; at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(end-at, int64(len(buf)))]
		if err := readFull(spec.Content, p, at); err != nil {
			return err
		}
		for len(p) > 0 {
			n := len(p)
			if sparse {
				n = min(n, holeBytes)
			}
			if !sparse || !isZero(p[:n]) {
				if _, err := f.WriteAt(p[:n], at); err != nil {
					return err
				}
			}
			at, p = at+int64(n), p[n:]
		}
	}
	return nil
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// finish sets the attributes of what was made and returns its identity.
func (s *Stager) finish(n hostfs.Node, spec *Spec) (hostfs.Identity, error) {
	if err := s.inherit(n, spec); err != nil {
		return hostfs.Identity{}, err
	}
	if spec.SetMode|spec.ClearMode != 0 || len(spec.Xattrs) > 0 {
		id, err := n.Identity()
		if err != nil {
			return id, err
		}
		a := Attr{SetMode: spec.SetMode, ClearMode: spec.ClearMode, Xattrs: spec.Xattrs}
		if err := setAttributes(&a, n, id); err != nil {
			return id, err
		}
	}
	if spec.Atime != hostfs.NoTime || spec.Mtime != hostfs.NoTime {
		if err := n.SetTimes(spec.Atime, spec.Mtime); err != nil {
			return hostfs.Identity{}, err
		}
	}
	return n.Identity()
}

// inherit gives n the attributes of the inode that it succeeds, or those that
// its directory hands down.
func (s *Stager) inherit(n hostfs.Node, spec *Spec) error {
	if spec.Like == nil {
		d, err := s.dirs.get(spec.In)
		if err != nil && isMissing(err) {
			err = ErrDirMoved
		}
		if err != nil {
			return err
		}
		return hostfs.InheritAttributes(n, d)
	}
	d, err := s.dirs.get(spec.Like.At.Dir)
	if err != nil {
		return likeGone(err)
	}
	like, err := d.OpenNode(spec.Like.At.Name)
	if err != nil {
		return likeGone(err)
	}
	defer like.Close()
	id, err := like.Identity()
	if err != nil {
		return err
	}
	if !id.Same(spec.Like.ID) {
		return ErrChanged
	}
	return hostfs.CopyAttributes(n, like)
}

func likeGone(err error) error {
	if isMissing(err) || errors.Is(err, hostfs.ErrNotRegular) || errors.Is(err, syscall.ELOOP) { // a link is there
		return errors.Join(ErrChanged, err)
	}
	return err
}

// Dir makes a directory. In may be one that this Stager made: its attributes
// are inherited then too.
func (s *Stager) Dir(spec *Spec) (Object, error) {
	at := s.newPlace()
	d := s.x.aside[Stage]
	if err := d.Mkdir(at.Name, spec.Perm|0o700); err != nil {
		return Object{}, err
	}
	sub, err := d.OpenDir(at.Name)
	var id hostfs.Identity
	if err == nil {
		id, err = s.finish(sub, spec)
		err = errors.Join(err, sub.Close())
	}
	if err != nil {
		return Object{}, errors.Join(err, d.Rmdir(at.Name))
	}
	s.sub = append(s.sub, at.Name)
	return Object{at, id}, nil
}

// AddDir makes a directory known that was appended to the plan's, and returns
// its number.
func (s *Stager) AddDir(d Dir) DirID {
	s.dirs.dirs = append(s.dirs.dirs, d)
	return DirID(len(s.dirs.dirs) - 1)
}

// Dirs returns all directories, for the plan.
func (s *Stager) Dirs() []Dir { return s.dirs.dirs }

// Patch prepares the change of an object in place: it sums up the sectors of
// the ranges, which begin at multiples of SectorBytes, before and after. The file
// is Same and of unchanged contents, or the error matches ErrChanged.
func (s *Stager) Patch(o Object, ranges []Range, newSize int64, content io.ReaderAt) (Patch, error) {
	p := Patch{At: o.At, ID: o.ID, NewSize: newSize, Content: content}
	d, err := s.dirs.get(o.At.Dir)
	if err != nil {
		return p, likeGone(err)
	}
	f, err := d.Open(o.At.Name)
	if err != nil {
		return p, likeGone(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return p, err
	}
	if st.Ino != o.ID.Ino || st.Size != o.ID.Size || st.Mtime != o.ID.Mtime {
		return p, ErrChanged
	}
	for _, r := range ranges {
		r.Len = min(r.Len, newSize-r.Off)
		if r.Len <= 0 {
			continue
		}
		if r.Off%SectorBytes != 0 {
			return p, fmt.Errorf("a range begins at %d: %w", r.Off, fs.ErrInvalid)
		}
		pr, err := sumRange(f, content, r)
		if err != nil {
			return p, err
		}
		p.Ranges = append(p.Ranges, pr)
	}
	return p, nil
}

// sumRange sums up the sectors of a range.
func sumRange(old, content io.ReaderAt, r Range) (PatchRange, error) {
	pr := PatchRange{Off: r.Off, Len: r.Len}
	buf := make([]byte, min(r.Len, patchBytes))
	for at := int64(0); at < r.Len; at += patchBytes {
		p := buf[:min(r.Len-at, patchBytes)]
		if err := readZero(old, p, r.Off+at); err != nil {
			return pr, err
		}
		pr.Old = append(pr.Old, sectorSums(p)...)
		if err := readFull(content, p, r.Off+at); err != nil {
			return pr, err
		}
		pr.New = append(pr.New, sectorSums(p)...)
	}
	return pr, nil
}

// Sync makes everything durable that was made. After an error what was made
// must be discarded: the host may have dropped its contents.
func (s *Stager) Sync() error {
	if s.many {
		return s.x.cfg.Aside.SyncFS()
	}
	for _, f := range s.unsynced {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := s.closeFiles(); err != nil {
		return err
	}
	for _, name := range s.sub {
		d, err := s.x.aside[Stage].OpenDir(name)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil {
			return err
		}
	}
	if len(s.files)+len(s.sub) == 0 {
		return nil
	}
	return s.x.aside[Stage].Sync()
}

// Discard removes what was made and not taken by a plan, and ends the Stager.
func (s *Stager) Discard() error {
	var errs []error
	for _, name := range s.files {
		errs = append(errs, ignoreMissing(s.x.aside[Stage].Unlink(name)))
	}
	for _, name := range s.sub {
		errs = append(errs, ignoreMissing(s.x.aside[Stage].Rmdir(name)))
	}
	s.Close()
	return errors.Join(errs...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Close ends the Stager and leaves what it made.
func (s *Stager) Close() {
	_ = s.closeFiles() // what was to last has been synced
	s.dirs.close()
}
