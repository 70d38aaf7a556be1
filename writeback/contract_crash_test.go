package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// wire is what lies between a guest and the disk of a server that may be another
// one after a while: a client that reconnects. Flushes do not get through.
type wire struct{ w *world }

var _ block.Device = wire{}

func (l wire) ReadAt(p []byte, off int64) (int, error) {
	return l.w.s.Disk().ReadAt(p, off+l.w.lay.VolumeOffset())
}

func (l wire) WriteAt(p []byte, off int64) (int, error) {
	return l.w.s.Disk().WriteAt(p, off+l.w.lay.VolumeOffset())
}
func (l wire) Size() int64  { return l.w.lay.Size() - l.w.lay.VolumeOffset() }
func (l wire) Flush() error { return nil }
func (l wire) Close() error { return nil }

// mountUnflushed mounts the disk as a guest whose flushes are lost.
func (w *world) mountUnflushed() {
	w.t.Helper()
	var err error
	w.guest, err = fat.Open(wire{w}, fat.Options{WriteBack: -1, Location: time.UTC, Now: w.now})
	w.must(err)
}

// caseReconnect kills the server again and again while a guest works that never
// flushes. It stays mounted, and misses nothing.
func caseReconnect(t *testing.T) {
	for seed := range uint64(fatguest.Seeds(4)) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		w := newWorld(t, []int{12, 16, 32}[seed%3], lowerFixture)
		w.must(w.open())
		w.mountUnflushed()
		var log []string
		for range 15 {
			log = append(log, fatguest.Step(w.guest, w.guestTree(), rnd))
			if rnd.IntN(2) == 0 {
				w.must(w.guest.Sync())
			}
			if rnd.IntN(3) == 0 {
				w.quiet(tail(log))
			}
			want := w.guestTree()
			w.kill()
			if d := fatguest.Difference(want, w.guestTree()); d != "" {
				t.Fatalf("seed %d: an answered write is lost:\n%s\n%s", seed, d, tail(log))
			}
		}
		w.must(w.guest.Sync())
		w.must(w.s.Sync(t.Context()))
		w.same(fmt.Sprintf("seed %d\n%s", seed, tail(log)))
		w.must(w.s.Close(context.Background()))
	}
}

// caseTornOverlay commits without any flush by the guest, lets it write on, and
// cuts the power: what was committed is on both sides, and of what came after it
// each sector is there or not.
func caseTornOverlay(t *testing.T) {
	for seed := range uint64(fatguest.Seeds(12)) {
		w := newWorld(t, 16, lowerFixture)
		w.must(w.open())
		w.mountUnflushed()
		w.must(errors.Join(
			vfs.WriteFile(w.guest, "new", pattern("committed", 9000), 0o666), fatguest.Patch(w.guest, "b.txt", []byte("patched"), 100),
			w.guest.Rename("d/y", "moved"), w.guest.Remove("empty"), w.guest.Sync()))
		w.must(w.s.Sync(t.Context()))
		w.same("before the cut")
		want := w.hostTree()
		w.must(errors.Join(fatguest.Patch(w.guest, "new", pattern("later", 6000), 1000), w.guest.Sync()))
		w.cut(seed)
		what := fmt.Sprintf("seed %d", seed)
		w.arrived(what)
		got := w.hostTree()
		late := []byte(want["new"])
		copy(late[1000:], pattern("later", 6000))
		for at := 0; at < 9000; at += 512 { // the contents begin with a sector
			end := min(at+512, 9000)
			now := got["new"][at:end]
			if now != want["new"][at:end] && now != string(late[at:end]) {
				t.Fatalf("%s: sector at %d is neither what was committed nor what came later", what, at)
			}
		}
		got["new"] = want["new"]
		if d := fatguest.Difference(want, got); d != "" {
			t.Fatalf("%s: what was committed is lost:\n%s", what, d)
		}
		w.must(w.s.Close(context.Background()))
	}
}

// pattern is n bytes that begin with a text and do not repeat.
func pattern(text string, n int) []byte {
	p := []byte(text)
	for i := 0; len(p) < n; i++ {
		p = fmt.Appendf(p, " %s %d", text, i)
	}
	return p[:n]
}

// caseCrashTwice stops the host within a commit, and again within the recovery.
// The host gives the numbers of inodes that are gone to new ones, and has another
// number as a device after a power cut.
func caseCrashTwice(t *testing.T) {
	strideK, strideJ := 97, 13
	if os.Getenv("FATKIT_LONG") != "" {
		strideK, strideJ = 11, 3
	}
	for k := 5; ; k += strideK {
		reached := false
		for j := k % strideJ; crashTwice(t, k, j, &reached); j += strideJ {
		}
		if !reached {
			return
		}
	}
}

// crashTwice reports whether the recovery from a stop at k got as far as j.
func crashTwice(t *testing.T, k, j int, reached *bool) bool {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	w.mount()
	w.m.CutAt(k)
	p, err := script(w, func(string) {})
	w.abandon()
	if err == nil {
		return false
	}
	*reached = true
	stop := func(seed uint64) {
		if seed%3 == 0 {
			w.m = w.m.Kill()
		} else {
			w.m, w.dev = w.m.Reboot(seed), w.dev.Cut(w.dev.Events(), seed)
		}
	}
	stop(uint64(k + j))
	w.m.CutAt(j)
	err = w.open()
	if err == nil {
		err = w.s.Sync(t.Context())
		w.abandon()
	}
	again := w.m.Ops() > j
	stop(uint64(k + j + 1))
	what := fmt.Sprintf("operation %d, then %d, after round %d: ", k, j, p.round)
	if err := w.open(); err != nil {
		t.Fatalf("%s%v", what, err)
	}
	w.arrived(what)
	tree, aside := w.contents()
	all := append(tree, aside...)
	for name, text := range lowerFixture {
		if !slices.Contains(all, text) && !guestChanges[name] {
			t.Fatalf("%s%s is lost", what, name)
		}
	}
	w.must(w.s.Close(context.Background()))
	return again
}

// guestChanges are files that script gives other contents.
var guestChanges = map[string]bool{"a.txt": true, "b.txt": true, "d/y": true, "d2/": true}

// caseHostPrograms has a host program change the file that the guest changes: in
// the middle of the commit, and while no server runs.
func caseHostPrograms(t *testing.T) {
	for _, ge := range guestEdits {
		for _, he := range hostEdits {
			t.Run(ge.name+", host "+he.name, func(t *testing.T) {
				stride := 23
				if testing.Short() {
					stride = 97
				}
				for _, made := range []bool{false, true} {
					for k := 3; meet(t, ge, he, made, k); k += stride {
					}
					editWhileDown(t, ge, he, made)
				}
			})
		}
	}
}

// editWhileDown lets the host do its edit between two servers, of which the
// first was killed before it could commit what the guest did, or ended before
// the guest did anything.
func editWhileDown(t *testing.T, ge guestEdit, he hostEdit, made bool) {
	for _, first := range []bool{false, true} {
		w := newWorld(t, 16, conflictFixture)
		w.must(w.open())
		w.mount()
		original := "first"
		if made {
			original = "first again"
			w.must(errors.Join(vfs.WriteFile(w.guest, "a.txt", []byte(original), 0o666), w.guest.Sync(), w.s.Sync(t.Context())))
		}
		guest := func() { w.must(errors.Join(ge.do(w.guest), w.guest.Sync())) }
		if first {
			guest()
			w.abandon()
			w.m = w.m.Kill()
		} else {
			w.must(w.s.Close(context.Background()))
		}
		edited := he.do(w.m.Foreign("share"))
		w.must(w.open())
		if !first {
			w.mount()
			guest()
		}
		what := fmt.Sprintf("guest %s (before: %v), host %s while no server ran (made: %v)", ge.name, first, he.name, made)
		for range 4 {
			w.quiet(what)
		}
		if err := w.s.Sync(t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
			t.Fatalf("%s: %v", what, err)
		}
		w.judgeMeeting(what, original, ge, he, edited, false)
		w.must(w.s.Close(context.Background()))
	}
}
