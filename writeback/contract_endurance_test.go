package writeback_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// caseEndurance is what does not end: a guest that never rests, a file of
// gigabytes, and a host without room.
func caseEndurance(t *testing.T) {
	t.Run("a log without pause", logWithoutPause)
	t.Run("a large file", largeFile)
	t.Run("no room for what the guest writes", fullOverlay)
	for _, fail := range []error{syscall.ENOSPC, syscall.EIO} {
		t.Run(fail.Error(), func(t *testing.T) { failingHost(t, fail) })
	}
}

// unflushed is a disk whose flushes get lost.
type unflushed struct{ block.Device }

func (unflushed) Flush() error { return nil }

// logWithoutPause appends to a file all the time, and never flushes. The host has
// it within the longest age, again and again.
func logWithoutPause(t *testing.T) {
	const age = 200 * time.Millisecond
	r := newRigOf(t, 16, map[string]string{"log": "begin\n"}, func(r *rig) {
		r.o.Settle, r.o.MaxAge = time.Hour, age
	})
	section, err := block.NewSection(r.s.Disk(), r.lay.VolumeOffset(), r.lay.Size()-r.lay.VolumeOffset(), block.SectionOptions{})
	r.must(err)
	g, err := fat.Open(unflushed{section}, fat.Options{WriteBack: -1, Location: time.UTC})
	r.must(err)
	size := int64(len("begin\n"))
	line := []byte("and another line of the log\n")
	arrivals, seen := 0, size
	for began := time.Now(); arrivals < 3; time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("the log does not arrive: %d bytes of %d on the host\n%+v", seen, size, r.s.Status())
		}
		r.must(errors.Join(fatguest.Patch(g, "log", line, size), g.Sync()))
		size += int64(len(line))
		fi, err := os.Stat(filepath.Join(r.dir, "log"))
		r.must(err)
		if fi.Size() > seen {
			arrivals, seen = arrivals+1, fi.Size()
		}
	}
	r.must(g.Sync())
	r.guest = g
	r.sync()
	r.same()
}

// largeFile changes a few bytes of a file of nearly 4 GiB, the most that FAT
// holds: a sparse one stays so, and another change is made in place.
func largeFile(t *testing.T) {
	const size = 4<<30 - 1
	r := newRigOf(t, 0, map[string]string{"small": "small"}, func(r *rig) {
		r.must(os.WriteFile(filepath.Join(r.dir, "large"), []byte("begin"), 0o644))
		r.must(os.Truncate(filepath.Join(r.dir, "large"), size))
	})
	for i, at := range []int64{1 << 20, 3 << 30, size - 10} {
		r.must(fatguest.Patch(r.guest, "large", []byte("changed"), at))
		r.sync()
		f, err := os.Open(filepath.Join(r.dir, "large"))
		r.must(err)
		p := make([]byte, 7)
		_, err = f.ReadAt(p, at)
		fi, statErr := f.Stat()
		r.must(errors.Join(err, statErr, f.Close()))
		if string(p) != "changed" || fi.Size() != size {
			t.Fatalf("change %d: %q, %d bytes", i, p, fi.Size())
		}
		if used := allocated(fi); used > 64<<20 {
			t.Errorf("change %d: a sparse file takes %d bytes", i, used)
		}
	}
}

// fullOverlay writes until there is no more room. What was committed stays, the
// guest can still delete, and goes on when there is room again.
func fullOverlay(t *testing.T) {
	r := newRigOf(t, 16, map[string]string{"old": strings.Repeat("old", 5000), "keep": "keep"}, func(r *rig) {
		r.layout.SizeBytes = 40 << 20
		r.o.Overlay.LimitBytes = 6 << 20
	})
	var err error
	var written []string
	for i := 0; err == nil && i < 40; i++ {
		name := fmt.Sprintf("f%d", i)
		if err = errors.Join(vfs.WriteFile(r.guest, name, pattern(name, 1<<20), 0o666), r.guest.Sync()); err == nil {
			written = append(written, name)
			r.must(r.s.Sync(t.Context()))
		}
	}
	if !errors.Is(err, diskerr.ErrNoSpace) || len(written) == 0 {
		t.Fatalf("after %d files: %v", len(written), err)
	}
	host := r.hostTree()
	for _, name := range written {
		if host[name] != string(pattern(name, 1<<20)) {
			t.Errorf("%s is not on the host", name)
		}
	}
	if st := r.s.Status(); st.Overlay.Refused == 0 {
		t.Errorf("%+v", st)
	}
	r.mount() // a guest that lost a write begins anew
	r.must(errors.Join(r.guest.Remove("old"), r.guest.Remove(written[0]), r.guest.Sync()))
	if err := r.s.Sync(t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
		t.Fatal(err)
	}
	host = r.hostTree()
	if _, ok := host["old"]; ok || host["keep"] != "keep" {
		t.Errorf("a deletion did not arrive: %+v", r.s.Status())
	}
	r.o.Overlay.LimitBytes = 0
	r.restart()
	r.must(vfs.WriteFile(r.guest, "more", pattern("more", 2<<20), 0o666))
	r.sync()
	r.same()
}

// failingHost lets everything that a commit does on the host fail for a while:
// the guest goes on, status says so, and the changes arrive by themselves when
// the host works again.
func failingHost(t *testing.T, fail error) {
	w := newWorld(t, 16, lowerFixture)
	w.tune = func(o *writeback.Options) { o.Settle, o.Now = 5*time.Millisecond, time.Now }
	w.must(w.open())
	w.mount()
	before := w.hostTree()
	w.m.FailAt(0, fail, true)
	until := func(what string, wish func(st writeback.Status) bool) {
		t.Helper()
		for began := time.Now(); !wish(w.s.Status()); time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("%s: %+v", what, w.s.Status())
			}
		}
	}
	for i := range 3 {
		w.must(errors.Join(vfs.WriteFile(w.guest, "new", pattern("new", 3000+i), 0o666), fatguest.Patch(w.guest, "b.txt", []byte("patched"), int64(i)), w.guest.Sync()))
		until("it fails", func(st writeback.Status) bool { return st.Error != "" })
	}
	if st := w.s.Status(); st.ErrorSince.IsZero() || !st.Uncommitted {
		t.Errorf("%+v", st)
	}
	if d := fatguest.Difference(before, w.hostTree()); d != "" {
		t.Errorf("a commit that failed changed the host:\n%s", d)
	}
	w.m.FailAt(-1, nil, false)
	until("it works again", func(st writeback.Status) bool {
		return st.Error == "" && !st.Uncommitted && len(st.Pending) == 0
	})
	w.same("by itself")
	if c := w.s.Status().Conflicts; len(c) > 0 {
		t.Errorf("%+v", c)
	}
	w.must(w.s.Close(t.Context()))
}
