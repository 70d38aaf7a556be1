package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// narrow gives the host room for so much more, of which the overlay takes its
// part as well.
func (w *world) narrow(bytes int64) {
	w.m.Capacity = 1 << 40
	u, err := w.m.Foreign("share").Usage()
	w.must(err)
	w.m.Capacity += bytes - u.FreeBytes
	w.tune = func(o *writeback.Options) {
		o.Overlay.FreeBytes = func() (int64, error) {
			u, err := w.m.Foreign("share").Usage()
			used := int64(0)
			if w.s != nil {
				used = w.s.Status().Overlay.UsedBytes
			}
			return u.FreeBytes - used, err
		}
	}
}

// TestSpaceForCommits fills a host that has room for little more: the guest is
// told that its disk is full before a commit finds that the host is. It can
// delete, and goes on when there is room again.
func TestSpaceForCommits(t *testing.T) {
	w := newWorld(t, 16, map[string]string{"a.txt": "first"})
	w.narrow(2 << 20)
	w.must(w.open())
	w.mount()
	var full error
	n := 0
	for ; full == nil && n < 100; n++ {
		name := fmt.Sprintf("f%d", n)
		full = errors.Join(vfs.WriteFile(w.guest, name, bytes.Repeat([]byte{byte(n)}, 100<<10), 0o666), w.guest.Sync())
		if full != nil {
			break
		}
		w.must(w.s.Sync(t.Context()))
		w.same(name)
	}
	if !errors.Is(full, diskerr.ErrNoSpace) || n < 3 || n > 12 { // twice 100 KiB each, in 2 MiB
		t.Fatalf("file %d: %v", n, full)
	}
	w.mount()
	w.must(errors.Join(w.guest.Remove("f1"), w.guest.Sync()))
	w.must(w.s.Sync(t.Context()))
	if st := w.s.Status(); st.Error != "" || st.Overlay.Refused == 0 {
		t.Fatalf("%+v", st)
	}
	if _, ok := w.hostTree()["f1"]; ok {
		t.Fatal("the guest could not delete")
	}
	w.m.Capacity += 4 << 20
	w.must(errors.Join(vfs.WriteFile(w.guest, "late", bytes.Repeat([]byte{7}, 100<<10), 0o666), w.guest.Sync()))
	w.must(w.s.Sync(t.Context()))
	w.same("with room again")
	w.must(w.s.Close(context.Background()))
}

// TestSpaceForCopies changes a few bytes of large files of the base, each of
// which is replaced by a copy, on a host with room for one of them.
func TestSpaceForCopies(t *testing.T) {
	large := string(bytes.Repeat([]byte("x"), 300<<10))
	w := newWorld(t, 16, map[string]string{"a": large, "b": large})
	w.narrow(450 << 10)
	w.must(w.open())
	w.mount()
	w.must(errors.Join(fatguest.Patch(w.guest, "a", []byte("patched"), 5000), w.guest.Sync()))
	err := errors.Join(fatguest.Patch(w.guest, "b", []byte("patched"), 5000), w.guest.Sync())
	if !errors.Is(err, diskerr.ErrNoSpace) {
		t.Fatalf("the second file: %v", err)
	}
	w.must(w.s.Sync(t.Context()))
	tree := w.hostTree()
	if tree["a"][5000:5007] != "patched" || tree["b"] != large {
		t.Fatal("the host has other contents")
	}
	w.mount()
	w.must(errors.Join(fatguest.Patch(w.guest, "a", []byte("again"), 5000), w.guest.Sync())) // in its place
	w.must(w.s.Sync(t.Context()))
	if got := w.hostTree()["a"][5000:5007]; got != "agained" {
		t.Fatalf("%q", got)
	}
	w.must(w.s.Close(context.Background()))
}

// TestSpaceForMetadata fills the overlay of each FAT type: the guest can still
// delete, in the root and in directories that it has not written to before.
func TestSpaceForMetadata(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			w := newWorld(t, typ, lowerFixture)
			w.must(w.open())
			w.abandon()
			limit := min(w.lay.Size()/2, 4<<20)
			w.tune = func(o *writeback.Options) { o.Overlay.LimitBytes = limit }
			w.must(w.open())
			full := error(nil)
			for at := w.lay.Size() - 16<<10; full == nil && at > limit; at -= 16 << 10 { // free clusters
				_, full = w.s.Disk().WriteAt(make([]byte, 512), at)
			}
			if !errors.Is(full, diskerr.ErrNoSpace) {
				t.Fatalf("%v, %+v", full, w.s.Status().Overlay)
			}
			w.mount()
			w.must(errors.Join(w.guest.Remove("a.txt"), w.guest.Remove("d/x"), w.guest.RemoveAll("d/e"), w.guest.Sync()))
			w.must(w.s.Sync(t.Context()))
			w.same("after the deletions")
			w.must(w.s.Close(context.Background()))
		})
	}
}
