package fat

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/vfs"
)

// Volume is a mounted FAT file system. See the package documentation for its
// order of writes and its locks.
type Volume struct {
	disk     *disk
	geo      fatfmt.Geometry
	boot     *fatfmt.BootSector
	opt      Options
	readOnly bool
	codePage *fatfmt.CodePage
	table    *table
	space    *space
	root     *node
	gate     block.Gate // counts the calls under way

	commitMu sync.Mutex            // held during a commit
	marked   atomic.Bool           // the medium says that the volume is dirty; set with commitMu held
	wasClean bool                  // it did not when it was opened
	fsInfo   *fatfmt.FSInfo        // as it was then; nil if there is none that can be used
	busy     atomic.Bool           // a commit is under way
	failed   atomic.Pointer[error] // why nothing can be written any more

	// treeMu guards names: contents of directories, and the places of nodes.
	treeMu      sync.RWMutex
	held        []*node            // pinned until the end of a change
	dirtyDirs   map[*node]struct{} // directories with changed blocks
	dirtyBlocks atomic.Int64       // of 512 bytes
	orphans     []*image           // changed blocks of removed directories

	// cacheMu guards what is in memory at all.
	cacheMu  sync.Mutex
	dirty    map[*node]struct{} // nodes whose entry has to be written
	unlinked map[*node]struct{} // nodes without an entry that are still open
	recent   *list.List         // of *node with contents, the most recent first
	places   map[*node]*list.Element
	cached   int // bytes of contents

	timerMu sync.Mutex
	timer   *time.Timer // runs while something waits for a commit
}

// Errors that callers may want to tell apart, within *fs.PathError.
var (
	// ErrTooLarge says that a file would exceed 4 GiB - 1, the most that FAT can
	// hold.
	ErrTooLarge = fmt.Errorf("%w: FAT holds at most 4 GiB - 1", vfs.ErrTooLarge)
	// ErrNotDir, ErrIsDir and ErrNotEmpty are those of package vfs.
	ErrNotDir   = vfs.ErrNotDir
	ErrIsDir    = vfs.ErrIsDir
	ErrNotEmpty = vfs.ErrNotEmpty
)

// errCommitFirst says that an operation can be done after a commit.
var errCommitFirst = errors.New("fat: an earlier change must be committed first")

// Open mounts the volume on dev, which begins with its boot sector. The device
// stays the caller's to close, after Volume.Close.
//
// A volume that is not marked clean is opened as well; [Volume.Dirty] tells,
// and Check finds what is wrong with it.
func Open(dev block.Device, o Options) (*Volume, error) {
	o.fill()
	codePage, err := fatfmt.LookupCodePage(o.CodePage)
	if err != nil {
		return nil, err
	}
	d := newDisk(dev)
	boot, geo, err := readBoot(d)
	if err != nil {
		return nil, err
	}
	v := &Volume{
		disk: d, geo: geo, boot: boot, opt: o, codePage: codePage,
		readOnly:  o.ReadOnly || block.LimitsOf(dev).ReadOnly,
		dirtyDirs: map[*node]struct{}{},
		dirty:     map[*node]struct{}{},
		unlinked:  map[*node]struct{}{},
		recent:    list.New(),
		places:    map[*node]*list.Element{},
	}
	v.table = newTable(d, &v.geo)
	if err := v.readState(); err != nil {
		return nil, err
	}
	hint := uint32(fatfmt.UnknownCount)
	if v.fsInfo != nil {
		hint = v.fsInfo.Next
	}
	v.space = newSpace(v.table, geo.Clusters, hint)
	v.root = &node{vol: v, isDir: true, refs: 1, chain: newChain(geo.RootCluster)}
	v.root.entry.Attr = fatfmt.AttrDirectory
	if _, err := v.contents(v.root); err != nil {
		return nil, err
	}
	return v, nil
}

// Dirty reports whether the volume was not marked clean when it was opened:
// some other system did not unmount it, or met an error.
func (v *Volume) Dirty() bool { return !v.wasClean }

// ReadOnly reports whether every change is refused.
func (v *Volume) ReadOnly() bool { return v.readOnly }

// fail notes that the state in memory and on the medium do not agree any more,
// after an error of the device. The volume then refuses every change.
func (v *Volume) fail(err error) error {
	v.failed.CompareAndSwap(nil, &err)
	return err
}

// enter begins a call that reads. It is followed by gate.Leave if it returns
// nil.
func (v *Volume) enter() error {
	return v.gate.Enter()
}

// enterChange begins a call that changes the volume, which it marks dirty.
func (v *Volume) enterChange() error {
	if err := v.enter(); err != nil {
		return err
	}
	err := v.writable()
	if err != nil {
		v.gate.Leave()
	}
	return err
}

// writable says why the volume cannot be changed, if it cannot.
func (v *Volume) writable() error {
	if v.readOnly {
		return diskerr.ErrReadOnly
	}
	if err := v.failed.Load(); err != nil {
		return *err
	}
	if v.marked.Load() {
		return nil
	}
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if v.marked.Load() {
		return nil
	}
	if err := v.markDirty(); err != nil {
		return v.fail(err)
	}
	v.marked.Store(true)
	return nil
}

// change runs fn, which changes names and does so completely or not at all,
// with treeMu held. It is run again after a commit if that may help.
func (v *Volume) change(fn func() error) error {
	if err := v.enterChange(); err != nil {
		return err
	}
	defer v.gate.Leave()
	return v.retry(func() error {
		v.treeMu.Lock()
		defer v.treeMu.Unlock()
		defer func() {
			v.unpin(v.held)
			v.held = v.held[:0]
		}()
		return fn()
	})
}

// maxRetries bounds how often an operation waits for a commit. Only others
// that use up what the commit freed can make it fail that often.
const maxRetries = 8

// retry runs fn until a commit cannot help it any more, and then commits if too
// much is waiting. The caller holds no lock.
func (v *Volume) retry(fn func() error) error {
	full := false
	for range maxRetries {
		err := fn()
		switch {
		case errors.Is(err, errCommitFirst):
		case errors.Is(err, diskerr.ErrNoSpace) && !full && v.wouldFree():
			full = true
		case err != nil:
			return err
		default:
			return v.relieve()
		}
		if err := v.commit(); err != nil {
			return err
		}
	}
	return errCommitFirst
}

// wouldFree gives up what is set aside, and reports whether a commit would
// free clusters, or did meanwhile.
func (v *Volume) wouldFree() bool {
	reserved := v.space.unreserveAll()
	return v.space.waiting() || v.busy.Load() || reserved
}

// relieve commits if too much is waiting.
func (v *Volume) relieve() error {
	v.cacheMu.Lock()
	nodes := len(v.dirty)
	v.cacheMu.Unlock()
	if nodes > maxDirtyNodes || v.dirtyBlocks.Load() > maxDirtyBlocks {
		return v.commit()
	}
	return nil
}

// schedule makes sure that a commit comes.
func (v *Volume) schedule() {
	if v.opt.WriteBack < 0 {
		return
	}
	v.timerMu.Lock()
	defer v.timerMu.Unlock()
	if v.timer == nil {
		v.timer = time.AfterFunc(v.opt.WriteBack, v.writeBack)
	}
}

// unschedule takes back schedule.
func (v *Volume) unschedule() {
	v.timerMu.Lock()
	if v.timer != nil {
		v.timer.Stop()
		v.timer = nil
	}
	v.timerMu.Unlock()
}

// writeBack is the commit that schedule promised. Its error stays with the
// volume, and the next change or Sync returns it.
func (v *Volume) writeBack() {
	if v.enter() != nil {
		return
	}
	defer v.gate.Leave()
	v.commit()
}

// Sync makes all changes so far durable.
func (v *Volume) Sync() error {
	if err := v.enter(); err != nil {
		return err
	}
	defer v.gate.Leave()
	if v.readOnly {
		return nil
	}
	return v.commit()
}

// Close makes all changes durable and marks the volume clean, if it was when
// it was opened. It refuses new calls and waits for those under way; files
// that are open cannot be used any more. The device stays open.
func (v *Volume) Close() error {
	if err := v.gate.Close(); err != nil {
		return err
	}
	v.unschedule()
	if v.readOnly {
		return nil
	}
	v.space.unreserveAll()
	if err := v.freeUnlinked(); err != nil {
		return err
	}
	if err := v.commit(); err != nil {
		return err
	}
	return v.markClean()
}
