package vvfat

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// mover moves the files of a disk and tells where they are.
type mover struct {
	mu     sync.Mutex
	places map[NodeID][]Place
}

func (m *mover) locate(id NodeID) []Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.places[id]
}

func (m *mover) set(id NodeID, p ...Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.places[id] = p
}

// TestLocate moves a file about and sets its time, while it is open and while
// it is not. No read fails, until the file really changes.
func TestLocate(t *testing.T) {
	m := &mover{places: map[NodeID][]Place{}}
	s := serve(t, DiskOptions{Locate: m.locate, MaxOpenFiles: 1})
	root, err := hostfs.OpenRoot(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	id, _ := s.l.Child(RootID, "a")
	n := s.l.Node(id)
	place := func(name string) Place {
		return Place{Tree: root, Path: name, Ino: n.Ino, Size: n.Size, Mtimes: [2]int64{n.Mtime, n.Mtime}}
	}
	works := func(when string) {
		t.Helper()
		if err := s.read(t, "a"); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if err := s.read(t, "b"); err != nil { // evicts a
			t.Fatal(err)
		}
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	works("before")
	m.set(id, place("a"), place("kept"))
	works("before the move")
	rename("a", "kept")
	works("after the move")
	m.set(id, place("kept"))
	works("when the move is known")
	if err := os.WriteFile(filepath.Join(s.dir, "a"), []byte("another file"), 0o644); err != nil {
		t.Fatal(err)
	}
	works("with another file in its place")

	p := place("kept")
	p.Mtimes[1] = time.Unix(1_500_000_000, 0).UnixNano()
	m.set(id, p)
	if err := s.read(t, "a"); err != nil { // leaves it open
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(s.dir, "kept"), time.Time{}, time.Unix(0, p.Mtimes[1])); err != nil {
		t.Fatal(err)
	}
	works("after its time was set")
	p.Mtimes[0] = p.Mtimes[1]
	m.set(id, p)
	works("when the time is known")
	if len(s.events) > 0 {
		t.Errorf("events: %v", s.events)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "kept"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.read(t, "a"); !errors.Is(err, diskerr.ErrChanged) {
		t.Errorf("a changed file: %v", err)
	}
}

// TestLocateWhileMoved reads a file that is moved to and fro all the time.
func TestLocateWhileMoved(t *testing.T) {
	m := &mover{places: map[NodeID][]Place{}}
	s := serve(t, DiskOptions{Locate: m.locate, MaxOpenFiles: 1})
	root, err := hostfs.OpenRoot(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	id, _ := s.l.Child(RootID, "a")
	n := s.l.Node(id)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		names := [2]string{"a", "kept"}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			from, to := names[i%2], names[(i+1)%2]
			var places []Place
			for _, name := range []string{from, to} {
				places = append(places, Place{Tree: root, Path: name, Ino: n.Ino, Size: n.Size, Mtimes: [2]int64{n.Mtime, n.Mtime}})
			}
			m.set(id, places...)
			if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)); err != nil {
				panic(err)
			}
			m.set(id, places[1])
			time.Sleep(100 * time.Microsecond)
		}
	}()
	for range 200 {
		if err := s.read(t, "a"); err != nil {
			t.Error(err)
			break
		}
		if err := s.read(t, "b"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
}

// The directory of write-back at the root is no part of the tree; below it the
// name means nothing.
func TestScanAside(t *testing.T) {
	tree, warns := mustScan(t, hostTree(t, "a", AsideName+"/kept/x", "sub/"+AsideName+"/y"), ScanOptions{})
	if got := paths(tree); len(got) != 4 || len(warns) != 0 {
		t.Errorf("%q, %v", got, warns)
	}
}
