package fusemount

import (
	"container/list"
	"io"
	"os"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/vfs"
)

// frozen reports whether nothing can change: the mount is for reading, and nobody
// else writes. Then the kernel opens files without a question, keeps what it has
// read, and reads from nodes.
func (t *tree) frozen() bool { return t.o.ReadOnly && t.o.Timeout == 0 }

// maxReaders is how many files are kept open for reads without an open file.
const maxReaders = 128

// readers are the files of a frozen tree that were read last, open.
type readers struct {
	mu     sync.Mutex
	byNode map[*node]*list.Element
	recent *list.List // of *reader, the latest first
}

// reader is an open file. It is closed by the last one who uses it after it was
// taken out of the list.
type reader struct {
	node *node
	f    vfs.File
	size int64
	uses int // guarded by readers.mu; one is the list's
}

// use returns the open file of n, if there is one. It ends with done.
func (r *readers) use(n *node) *reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byNode[n]
	if e == nil {
		return nil
	}
	r.recent.MoveToFront(e)
	x := e.Value.(*reader)
	x.uses++
	return x
}

// add makes f the open file of n, which has a use of it, unless there is one.
func (r *readers) add(n *node, f vfs.File, size int64) *reader {
	r.mu.Lock()
	x := &reader{node: n, f: f, size: size, uses: 2}
	if r.byNode == nil {
		r.byNode, r.recent = map[*node]*list.Element{}, list.New()
	}
	if r.byNode[n] != nil { // somebody was faster
		x.uses = 1
		r.mu.Unlock()
		return x
	}
	r.byNode[n] = r.recent.PushFront(x)
	var old *reader
	if r.recent.Len() > maxReaders {
		e := r.recent.Back()
		old = r.recent.Remove(e).(*reader)
		delete(r.byNode, old.node)
	}
	r.mu.Unlock()
	if old != nil {
		r.done(old)
	}
	return x
}

// done ends a use.
func (r *readers) done(x *reader) {
	r.mu.Lock()
	x.uses--
	last := x.uses == 0
	r.mu.Unlock()
	if last {
		x.f.Close() // it was read alone
	}
}

// close closes all that are not in use.
func (r *readers) close() {
	r.mu.Lock()
	var all []*reader
	for _, e := range r.byNode {
		all = append(all, e.Value.(*reader))
	}
	r.byNode, r.recent = nil, nil
	r.mu.Unlock()
	for _, x := range all {
		r.done(x)
	}
}

// reader returns the open file of a node. It ends with readers.done.
func (t *tree) reader(n *node) (*reader, error) {
	if x := t.readers.use(n); x != nil {
		return x, nil
	}
	name, ok := t.nodes.path(n)
	if !ok {
		return nil, os.ErrNotExist
	}
	f, err := t.fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close() // it was read alone
		return nil, err
	}
	return t.readers.add(n, f, fi.Size()), nil
}

// readNode is Read for a file that the kernel has opened by itself.
func (t *tree) readNode(in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n := t.nodes.get(in.NodeId)
	if n == nil {
		return nil, fuse.EBADF
	}
	r, err := t.reader(n)
	if err != nil {
		return nil, errnoOf(err)
	}
	defer t.readers.done(r)
	m, err := r.f.ReadAt(buf[:in.Size], int64(in.Offset))
	if err != nil && err != io.EOF {
		return nil, errnoOf(err)
	}
	if in.Offset == 0 && int64(m) == r.size && m <= maxPushed {
		t.pusher.read(n)
	}
	return fuse.ReadResultData(buf[:m]), fuse.OK
}
