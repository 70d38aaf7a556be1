package vvfat

import (
	"context"
	"io/fs"
	"runtime"
	"sync"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// ScanOptions say what a scan takes and what it does about the rest. The zero
// value takes everything and fails at what a disk cannot show.
type ScanOptions struct {
	// Exclude are globs of names to leave out: without a slash they are
	// compared with base names, with one with the path from the root; **
	// stands for any number of directories; a slash at the end means
	// directories only. What they leave out causes no Warning.
	Exclude []string
	// Symlinks is about symbolic links that lead out of the root. Links within
	// are followed: the file or directory appears once more, with clusters of
	// its own. Links that lead nowhere, or to a directory above themselves,
	// are always skipped with a Warning.
	Symlinks Policy
	// TooLarge is about files over 4 GiB - 1.
	TooLarge Policy
	// Unreadable is about files and directories that may not be read.
	Unreadable Policy
	// DOSAttributes shows the hidden, system and archive attributes that the
	// host keeps in hostfs.DOSAttribute. It takes a system call more for each
	// file.
	DOSAttributes bool
	// Workers is the number of directories read at once; 0 means one for each
	// processor, and one more.
	Workers int
	// Warn is told what the disk will not show. It is called from one
	// goroutine at a time, in an order that depends on the tree alone.
	Warn func(Warning)
}

// scanner is a scan under way.
//
// Workers read directories ahead; one goroutine takes their results in the
// order of the nodes and appends the children to the tree. So the tree grows
// breadth first and comes out the same whatever the workers do, and nothing is
// copied or sorted afterwards.
type scanner struct {
	filter
	tree   *Tree
	linked int    // nodes reached through links so far
	room   int    // how many of them there may be
	todo   NodeID // the first node that may be a directory nobody has read
}

// job is a directory to be read, and what was found.
type job struct {
	id   NodeID
	path string // where the source has it
	show string // where the disk has it
	done chan struct{}

	list  hostfs.Listing
	order []int32          // entries to take, sorted by name
	links map[int32]string // targets of those that are links
	warns []Warning
	err   error
}

// windowPerWorker is how many directories a worker may be ahead of the oldest
// that is not yet part of the tree.
const windowPerWorker = 4

func newScanner(src source, o ScanOptions) (*scanner, error) {
	exclude, err := newExcluder(o.Exclude)
	if err != nil {
		return nil, err
	}
	return &scanner{
		filter: filter{src: src, exclude: exclude, o: o},
		tree:   &Tree{source: src, links: map[NodeID]string{}},
		room:   maxLinked,
	}, nil
}

// scan reads src.
func scan(ctx context.Context, src source, o ScanOptions) (*Tree, error) {
	s, err := newScanner(src, o)
	if err != nil {
		return nil, err
	}
	return s.scan(ctx)
}

func (s *scanner) scan(ctx context.Context) (*Tree, error) {
	st, err := s.src.stat(".")
	if err != nil {
		return nil, err
	}
	if !st.Mode.IsDir() {
		return nil, &fs.PathError{Op: "scan", Path: s.src.name(), Err: errNotDir}
	}
	root := newNode(&st)
	root.dev, _ = s.tree.device(st.Dev)
	s.tree.add(root)
	workers := s.o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0) + 1
	}
	if err := s.run(ctx, workers); err != nil {
		return nil, err
	}
	return s.tree, nil
}

// run reads every directory.
func (s *scanner) run(ctx context.Context, workers int) error {
	ring := make([]*job, workers*windowPerWorker)
	for i := range ring {
		ring[i] = &job{done: make(chan struct{}, 1)}
		ring[i].list.WantDOS = s.o.DOSAttributes
	}
	jobs := make(chan *job, len(ring))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range jobs {
				s.read(j)
				j.done <- struct{}{}
			}
		})
	}
	defer wg.Wait()
	defer close(jobs)
	for given, taken := 0, 0; ; taken++ {
		for given-taken < len(ring) && s.next(ring[given%len(ring)]) {
			jobs <- ring[given%len(ring)]
			given++
		}
		if given == taken {
			return nil
		}
		j := ring[taken%len(ring)]
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.take(j); err != nil {
			return err
		}
	}
}

// next fills in j with the next directory that nobody has read, if the tree
// has one yet.
func (s *scanner) next(j *job) bool {
	for ; int(s.todo) < s.tree.count; s.todo++ {
		if !s.tree.node(s.todo).isDir() {
			continue
		}
		j.id = s.todo
		j.path = s.tree.hostPath(j.id)
		j.show = j.path
		if s.tree.node(j.id).flags&flagAlias != 0 {
			j.show = s.tree.path(j.id)
		}
		s.todo++
		return true
	}
	return false
}

// take appends what j found to the tree.
func (s *scanner) take(j *job) error {
	if s.o.Warn != nil {
		for _, w := range j.warns {
			s.o.Warn(w)
		}
	}
	if j.err != nil {
		return j.err
	}
	dir := s.tree.node(j.id)
	dir.first = NodeID(s.tree.count)
	if len(j.order) > 0 && s.tree.depth(j.id) >= maxDepth {
		return scanError(s.src, j.show, errTooDeep)
	}
	for _, i := range j.order {
		e := &j.list.Entries[i]
		n := newNode(&e.Stat)
		n.parent = j.id
		n.flags |= dosFlags(e)
		n.flags |= dir.flags & flagAlias
		target, isLink := j.links[i]
		if isLink {
			n.flags |= flagLink | flagAlias
			if n.isDir() && s.loops(j.id, target) {
				s.warn(WarnLoop, j.show, j.list.NameOf(e), "skipped: this link leads to a directory above itself")
				continue
			}
		}
		id, err := s.addNode(n, e.Dev, j.list.NameOf(e))
		if err != nil {
			return scanError(s.src, joinPath(j.show, j.list.NameOf(e)), err)
		}
		if isLink {
			s.tree.links[id] = target
		}
		dir.size++
	}
	return nil
}

// addNode appends one node of a file system within the limits of a tree.
func (s *scanner) addNode(n node, dev uint64, name []byte) (NodeID, error) {
	t := s.tree
	var ok bool
	if n.dev, ok = t.device(dev); !ok {
		return 0, errTooManyDevices
	}
	if n.flags&flagAlias != 0 {
		if s.linked++; s.linked > s.room {
			return 0, errTooManyLinked
		}
	}
	if t.count >= maxNodes {
		return 0, errTooManyNodes
	}
	if len(name) > maxNameBytes {
		return 0, errNameTooLong
	}
	off, err := t.arena.put(name)
	if err != nil {
		return 0, err
	}
	n.nameOff, n.nameLen = off, uint16(len(name))
	if !n.isDir() {
		t.files++
		t.bytes += int64(n.size)
	}
	return t.add(n), nil
}

// loops reports whether target is dir or a directory above it, as the disk
// shows them.
func (s *scanner) loops(dir NodeID, target string) bool {
	for ; ; dir = s.tree.node(dir).parent {
		if s.tree.hostPath(dir) == target {
			return true
		}
		if dir == RootID {
			return false
		}
	}
}

func (s *scanner) warn(kind WarningKind, dir string, name []byte, text string) {
	if s.o.Warn != nil {
		s.o.Warn(Warning{Kind: kind, Path: joinPath(dir, name), Text: text})
	}
}

// newNode translates a description. The caller has checked the size of files.
func newNode(st *hostfs.Stat) node {
	n := node{ino: st.Ino, mtime: st.Mtime, atime: st.Atime, btime: st.Btime}
	n.flags = nodeFlags(st.Mode.Perm())
	if st.Mode.IsDir() {
		n.flags |= flagDir
	} else {
		n.size = uint32(st.Size)
	}
	return n
}

// dosFlags translates what the host has of the attributes of DOS.
func dosFlags(e *hostfs.Entry) (f nodeFlags) {
	if !e.HasDOS {
		return 0
	}
	f = flagDOS
	for _, a := range dosAttributes {
		if fatfmt.Attr(e.DOS)&a.attr != 0 {
			f |= a.flag
		}
	}
	return f
}

// joinPath returns the path of an entry of dir.
func joinPath(dir string, name []byte) string {
	if dir == "." {
		return string(name)
	}
	return dir + "/" + string(name)
}
