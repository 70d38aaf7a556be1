package fusemount

import (
	"io"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// maxPushed is the size of the largest file that is given to the kernel before
	// it asks.
	maxPushed = 64 << 10
	// firstWindow and maxWindow are how many files are pushed at a time.
	firstWindow, maxWindow = 8, 256
	// maxWindowBytes bounds them, too.
	maxWindowBytes = 4 << 20
	// fullCredit is how many directories may be listed without a read that shows
	// that what was pushed is used.
	fullCredit = 2
	// pushRetries is how often a file is pushed that the kernel has not heard of
	// yet, since the listing that tells of it is on its way.
	pushRetries = 50
	pushPause   = 20 * time.Microsecond
)

// pusher gives the kernel small files before it asks for them. Many programs read
// all files of a directory one after the other in the order of their inode
// numbers, and a request for each costs them most of their time.
//
// A directory is read ahead once two of its files were read in their order; the
// last file of each window is left out, and the request for it shows that the
// others are being used. While that goes on, the directories that are listed next
// are read ahead from their start.
type pusher struct {
	tree *tree

	mu     sync.Mutex
	credit int
	dirs   recent[*pushedDir]
	busy   sync.WaitGroup
	ended  bool
}

// pushedDir is what was listed of a directory. It is guarded by the pusher's mu.
type pushedDir struct {
	files  []*node       // small ones, in their order
	at     map[*node]int // where each is
	next   int           // that behind the one that was read last
	marker int           // that at which the next window begins; -1 if none was pushed
	window int           // how many files the last window had
	seen   map[*node]bool
}

// listed notes files that the kernel was told of, the first ones of the directory if
// first is set.
func (p *pusher) listed(id uint64, first bool, files []*node) {
	dir := p.tree.nodes.get(id)
	if dir == nil || len(files) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dir(dir)
	if first {
		*d = pushedDir{at: map[*node]int{}, seen: map[*node]bool{}, marker: -1}
	}
	for _, n := range files {
		d.at[n] = len(d.files)
		d.files = append(d.files, n)
	}
	if first && p.credit > 0 {
		p.credit--
		d.window = maxWindow / 2
		p.push(d, 0)
	}
}

// dir returns what is known of a directory. The caller holds mu.
func (p *pusher) dir(n *node) *pushedDir {
	return p.dirs.get(n, func() *pushedDir {
		return &pushedDir{at: map[*node]int{}, seen: map[*node]bool{}, marker: -1}
	})
}

// read notes that the kernel asked for the whole of a small file.
func (p *pusher) read(n *node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dir(n.parent)
	i, ok := d.at[n]
	if !ok {
		return
	}
	d.seen[n] = true
	switch {
	case i == d.marker:
		p.credit = fullCredit
		p.push(d, i+1)
	case d.marker < 0 && i > 0 && i == d.next:
		p.push(d, i+1)
	}
	d.next = i + 1
}

// push begins to push the files of a directory from one on. The caller holds mu.
func (p *pusher) push(d *pushedDir, from int) {
	d.window = min(max(2*d.window, firstWindow), maxWindow)
	end := min(from+d.window, len(d.files)) - 1
	if end < from || p.ended {
		return
	}
	d.marker = end
	files := d.files[from:end]
	p.busy.Add(1)
	go func() {
		defer p.busy.Done()
		budget := maxWindowBytes
		for _, n := range files {
			p.mu.Lock()
			skip := d.seen[n] || p.ended
			p.mu.Unlock()
			if skip {
				continue
			}
			size, ok := p.give(n)
			if budget -= size; !ok || budget < 0 {
				return
			}
		}
	}()
}

// buffers are for the contents of small files.
var buffers = sync.Pool{New: func() any { return new([maxPushed + 1]byte) }}

// give gives a file to the kernel and returns its size, or false if that fails: the
// kernel will ask.
func (p *pusher) give(n *node) (int, bool) {
	r, err := p.tree.reader(n)
	if err != nil {
		return 0, false
	}
	defer p.tree.readers.done(r)
	buf := buffers.Get().(*[maxPushed + 1]byte)
	defer buffers.Put(buf)
	m, err := r.f.ReadAt(buf[:], 0)
	if err != io.EOF {
		return 0, false
	}
	for range pushRetries {
		status := p.tree.server.InodeNotifyStoreCache(n.id, 0, buf[:m])
		if status != fuse.ENOENT {
			return m, status == fuse.OK
		}
		time.Sleep(pushPause)
	}
	return m, false
}

// end returns when nothing is pushed any more.
func (p *pusher) end() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.busy.Wait()
}
