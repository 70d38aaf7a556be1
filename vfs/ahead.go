package vfs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
)

const (
	// aheadBytes is the size from which a file is read in its turn only.
	aheadBytes = 64 << 10
	// aheadFiles is how many files are read before their turn at most.
	aheadFiles = 32
	// spareBuffers is how many of them are in memory: those that are ready, one
	// that is being read, and one that is being written.
	spareBuffers = aheadFiles + 2
)

// sighting is an object of the source that was looked at.
type sighting struct {
	name    string
	fi      fs.FileInfo
	err     error
	content []byte // of a small file that was read before its turn, else nil
}

// ahead looks at the objects of one directory in their order, and reads the
// small files among them, while those before are being written. So both sides
// of a copy of small files are at work at the same time.
//
// That is done only if the source says that it may be used concurrently, as
// every FS does. A file that cannot be read is left to its turn, whose error
// counts.
type ahead struct {
	c       *copier
	dir     string
	entries []fs.DirEntry
	ready   chan sighting // nil if each is looked at in its turn
	quit    chan struct{}
}

// lookAhead begins with the objects of dir. It ends with stop.
func (c *copier) lookAhead(dir string, entries []fs.DirEntry) *ahead {
	a := &ahead{c: c, dir: dir, entries: entries}
	if _, ok := c.src.(FS); !ok || c.o.NoReplace || c.o.Replace != nil || len(entries) < 2 {
		return a // what is not replaced need not be read
	}
	if c.spare == nil {
		c.spare = make(chan []byte, spareBuffers)
		for range spareBuffers {
			c.spare <- nil // made when it is needed
		}
	}
	a.ready, a.quit = make(chan sighting, aheadFiles), make(chan struct{})
	go a.run()
	return a
}

func (a *ahead) run() {
	defer close(a.ready)
	for _, e := range a.entries {
		s := a.look(e)
		if s.err == nil && s.fi.Mode().IsRegular() && s.fi.Size() < aheadBytes {
			s.content = a.c.readSmall(s.name, s.fi.Size())
		}
		select {
		case a.ready <- s:
		case <-a.quit:
			a.c.giveBack(s.content)
			return
		}
	}
}

// look looks at one object.
func (a *ahead) look(e fs.DirEntry) sighting {
	s := sighting{name: path.Join(a.dir, e.Name())}
	if s.fi, s.err = e.Info(); s.err == nil {
		s.fi, s.err = a.c.resolve(s.name, s.fi)
	}
	return s
}

// next returns the next object. It is called once for each.
func (a *ahead) next() sighting {
	if a.ready == nil {
		s := a.look(a.entries[0])
		a.entries = a.entries[1:]
		return s
	}
	return <-a.ready
}

// stop returns when the source is left alone.
func (a *ahead) stop() {
	if a.ready == nil {
		return
	}
	close(a.quit)
	for s := range a.ready {
		a.c.giveBack(s.content)
	}
}

// readSmall returns the content of a file of sizeBytes, or nil if it cannot be
// read now, or there is no memory to spare. It ends in giveBack.
func (c *copier) readSmall(name string, sizeBytes int64) []byte {
	var buf []byte
	select {
	case buf = <-c.spare:
	default:
		return nil
	}
	if buf == nil {
		buf = smallBuffers.Get().(*[aheadBytes]byte)[:]
	}
	in, err := c.src.Open(name)
	if err != nil {
		c.giveBack(buf)
		return nil
	}
	defer in.Close()
	_, onHost := in.(*os.File)
	for n := 0; n < len(buf); {
		m, err := in.Read(buf[n:])
		n += m
		// A read of a file of the host that gives less than was asked for met
		// its end.
		if err == io.EOF || err == nil && onHost && n < len(buf) && int64(n) == sizeBytes {
			return buf[:n]
		}
		if err != nil {
			break
		}
	}
	c.giveBack(buf)
	return nil
}

// Memory of copies that have ended, for those to come: many copies are of a
// few files.
var (
	smallBuffers = sync.Pool{New: func() any { return new([aheadBytes]byte) }}
	pipes        = sync.Pool{New: func() any { return newPipe() }}
)

// release gives the memory of a copy that ends to others.
func (c *copier) release() {
	if c.pipe != nil {
		pipes.Put(c.pipe)
	}
	for range len(c.spare) {
		if buf := <-c.spare; buf != nil {
			smallBuffers.Put((*[aheadBytes]byte)(buf[:aheadBytes]))
		}
	}
}

// giveBack takes back what readSmall returned.
func (c *copier) giveBack(content []byte) {
	if content != nil {
		c.spare <- content[:aheadBytes]
	}
}
