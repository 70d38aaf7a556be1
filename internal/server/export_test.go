package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/stack"
)

const testSize = 64 << 10

// fakeSource makes disks whose every byte is content, and counts them.
type fakeSource struct {
	mu       sync.Mutex
	content  byte
	fail     error
	made     int
	open     atomic.Int32
	scanTime time.Duration
}

func (s *fakeSource) Path() string     { return "/fake" }
func (s *fakeSource) BaseName() string { return "fake" }

func (s *fakeSource) set(content byte, fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content, s.fail = content, fail
}

func (s *fakeSource) Generate(_ context.Context, prev *stack.Generation, _ func(stack.Event)) (*stack.Generation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	if s.fail != nil {
		return nil, s.fail
	}
	if prev != nil {
		var have [1]byte
		if _, err := prev.Device.ReadAt(have[:], 0); err == nil && have[0] == s.content {
			return prev, nil
		}
	}
	d := mem.New(testSize)
	if _, err := d.WriteAt(bytes.Repeat([]byte{s.content}, testSize), 0); err != nil {
		return nil, err
	}
	s.open.Add(1)
	return &stack.Generation{
		Device: &countedDevice{Device: d, open: &s.open},
		Facts:  stack.Facts{ScanTime: s.scanTime},
	}, nil
}

// countedDevice tells when it is closed. Only tests embed a Device.
type countedDevice struct {
	block.Device
	open *atomic.Int32
}

func (d *countedDevice) Close() error {
	d.open.Add(-1)
	return d.Device.Close()
}

// harness is an export of a fakeSource with a clock that tests move.
type harness struct {
	*export
	src *fakeSource
	now atomic.Int64
	t   *testing.T
}

func newHarness(t *testing.T, p RefreshPolicy) *harness {
	t.Helper()
	h := &harness{src: &fakeSource{content: 'a'}, t: t}
	e, err := newExport(context.Background(), ExportOptions{Source: h.src, Refresh: p},
		slog.New(slog.DiscardHandler), func() time.Duration { return time.Duration(h.now.Load()) })
	if err != nil {
		t.Fatal(err)
	}
	h.export = e
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
		if n := h.src.open.Load(); n != 0 {
			t.Errorf("%d generations are still open", n)
		}
	})
	return h
}

// read returns the byte at off.
func (h *harness) read(off int64) byte {
	h.t.Helper()
	var p [1]byte
	if _, err := h.disk.ReadAt(p[:], off); err != nil {
		h.t.Fatal(err)
	}
	return p[0]
}

// want checks what the disk shows.
func (h *harness) want(content byte, when string) {
	h.t.Helper()
	if got := h.read(512); got != content {
		h.t.Fatalf("%s: the disk shows %q, want %q", when, got, content)
	}
}

func TestNewGenerationAfterOrderlyDisconnect(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnDisconnect: true})
	ctx := context.Background()
	h.now.Store(1)
	h.src.set('b', nil)
	h.attach(ctx)
	h.want('b', "the first client sees the source as it is")
	h.src.set('c', nil)
	h.attach(ctx)
	h.want('b', "a second client sees what the first sees")
	h.detach(context.Background(), true)
	h.want('b', "one client is left")
	h.attach(ctx)
	h.want('b', "one client stayed")
	h.detach(context.Background(), true)
	h.detach(context.Background(), true)
	h.attach(ctx)
	h.want('c', "all had left in order")
}

func TestNoNewGenerationAfterLostConnection(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnDisconnect: true})
	ctx := context.Background()
	h.attach(ctx)
	h.detach(context.Background(), false)
	h.src.set('b', nil)
	h.attach(ctx)
	h.want('a', "the lost client came back")
	h.attach(ctx)
	h.detach(context.Background(), false)
	h.detach(context.Background(), true)
	h.attach(ctx)
	h.want('a', "another was lost before the last one left in order")
	h.detach(context.Background(), true)
	h.attach(ctx)
	h.want('b', "all who were lost have come back and left in order")
}

func TestRefreshNever(t *testing.T) {
	h := newHarness(t, RefreshPolicy{})
	ctx := context.Background()
	h.now.Store(int64(time.Hour))
	h.src.set('b', nil)
	h.attach(ctx)
	h.detach(context.Background(), true)
	h.attach(ctx)
	h.want('a', "never means never")
	h.detach(context.Background(), true)
	if r, err := h.refresh(ctx, Request{}); err != nil || !r.Changed || r.Generation != 2 {
		t.Fatalf("refresh = %+v, %v", r, err)
	}
	h.want('b', "but on request")
}

func TestFreshPictureIsNotTakenAgain(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnDisconnect: true})
	h.current.Facts.ScanTime = time.Second
	h.now.Store(int64(time.Second))
	h.attach(context.Background())
	if h.src.made != 1 {
		t.Fatalf("%d scans for a client that came at once, want 1", h.src.made)
	}
	h.detach(context.Background(), true)
	h.attach(context.Background())
	if h.src.made != 2 {
		t.Fatalf("%d scans for a second client, want 2", h.src.made)
	}
}

func TestFailureKeepsTheOldGeneration(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnDisconnect: true})
	ctx := context.Background()
	h.attach(ctx)
	h.detach(context.Background(), true)
	h.src.set('b', errors.New("it does not fit"))
	h.attach(ctx)
	h.want('a', "the new one failed")
	if s := h.status(); s.Failure == nil || !strings.Contains(s.Failure.Message, "does not fit") || s.Generation.Number != 1 {
		t.Fatalf("status after a failure: %+v", s)
	}
	if _, err := h.refresh(ctx, Request{}); err == nil {
		t.Fatal("a refresh that cannot work was promised")
	}
	if h.status().Pending {
		t.Fatal("a refresh that cannot work is pending")
	}
	h.src.set('b', nil)
	h.detach(context.Background(), true)
	h.attach(ctx)
	h.want('b', "the cause is gone")
	if s := h.status(); s.Failure != nil || s.Generation.Number != 2 {
		t.Fatalf("status after success: %+v", s)
	}
}

func TestRefreshOfAttachedDiskWaitsForReset(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnDisconnect: true})
	ctx := context.Background()
	h.attach(ctx)
	h.read(0)
	h.src.set('b', nil)
	r, err := h.refresh(ctx, Request{})
	if err != nil || r.Changed || !r.Pending {
		t.Fatalf("refresh = %+v, %v; want it pending", r, err)
	}
	h.want('a', "before the reset")
	if got := h.read(0); got != 'b' {
		t.Fatalf("the boot read shows %q", got)
	}
	h.want('b', "after the reset")
	h.src.set('c', nil)
	h.read(0)
	h.want('b', "one refresh, one generation")
	if r, err := h.refresh(ctx, Request{Force: true}); err != nil || !r.Changed || r.Pending {
		t.Fatalf("refresh --force = %+v, %v", r, err)
	}
	h.want('c', "forced")
}

func TestBootRead(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnBootRead: true})
	ctx := context.Background()
	wait := func(d time.Duration) { h.now.Add(int64(d)) }
	h.attach(ctx)
	h.src.set('b', nil)
	wait(time.Hour)
	if h.read(0) != 'a' || h.read(0) != 'a' {
		t.Fatal("a first read of the first sector began a generation")
	}
	h.read(firstSectors - 1)
	wait(bootQuiet)
	if h.read(0) != 'a' {
		t.Fatal("nothing but the first sectors had been read")
	}
	h.read(firstSectors)
	wait(bootQuiet - 1)
	if h.read(0) != 'a' {
		t.Fatal("a partition scan in the middle of work began a generation")
	}
	wait(bootQuiet)
	if _, err := h.disk.ReadAtCached(make([]byte, 512), 0); !errors.Is(err, block.ErrWouldBlock) {
		t.Fatalf("a boot read on the fast path: %v, want ErrWouldBlock", err)
	}
	if h.read(0) != 'b' {
		t.Fatal("a boot read did not begin a generation")
	}
	h.src.set('c', nil)
	wait(bootQuiet)
	if h.read(0) != 'b' {
		t.Fatal("the firmware's second read began a generation")
	}
}

// TestBootReadBesideAnotherClient: nobody can tell whose reset it would be.
func TestBootReadBesideAnotherClient(t *testing.T) {
	h := newHarness(t, RefreshPolicy{OnBootRead: true})
	ctx := context.Background()
	h.attach(ctx)
	h.read(firstSectors)
	h.attach(ctx)
	h.src.set('b', nil)
	h.now.Add(int64(time.Hour))
	if h.read(0) != 'a' {
		t.Fatal("a tool's look at the disk began a generation under the guest")
	}
	h.detach(context.Background(), true)
	h.read(firstSectors)
	h.now.Add(int64(time.Hour))
	if h.read(0) != 'b' {
		t.Fatal("a reset of the only client did not begin a generation")
	}
}

// TestPendingRefreshAtNextClient: a refresh that waited for a reset is due at
// the latest when the next client comes, also where nothing else would be.
func TestPendingRefreshAtNextClient(t *testing.T) {
	h := newHarness(t, RefreshPolicy{})
	ctx := context.Background()
	h.attach(ctx)
	h.src.set('b', nil)
	if r, err := h.refresh(ctx, Request{}); err != nil || !r.Pending {
		t.Fatalf("refresh = %+v, %v", r, err)
	}
	h.detach(context.Background(), true)
	h.attach(ctx)
	h.want('b', "the next client came")
	if h.status().Pending || h.disk.watch.Load() != nil {
		t.Fatal("the refresh is still pending")
	}
}

// TestReadersDuringExchanges reads from many goroutines while generations
// change: every read is answered, wholly by one generation.
func TestReadersDuringExchanges(t *testing.T) {
	h := newHarness(t, RefreshPolicy{})
	ctx := context.Background()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			p := make([]byte, 8<<10)
			for !stop.Load() {
				if _, err := h.disk.ReadAt(p, 4096); err != nil {
					t.Error(err)
					return
				}
				if bytes.Count(p, p[:1]) != len(p) {
					t.Error("one read shows two generations")
					return
				}
			}
		})
	}
	for i := range 200 {
		h.src.set(byte(i), nil)
		if _, err := h.refresh(ctx, Request{Force: true}); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	if n := h.src.open.Load(); n != 1 {
		t.Errorf("%d generations are open, want the current one", n)
	}
}

func TestDiskClosedTwice(t *testing.T) {
	d := newDisk(&stack.Generation{Device: mem.New(testSize)}, nil)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("ReadAt after Close: %v", err)
	}
	if next := mem.New(testSize); d.exchange(&stack.Generation{Device: next}) {
		t.Error("a closed disk took a new generation")
	}
}

func TestDiskConforms(t *testing.T) {
	blocktest.Run(t, func(testing.TB) block.Device { return newDisk(&stack.Generation{Device: mem.New(1 << 20)}, nil) }, blocktest.Options{})
}

func TestWarningsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	h := newHarness(t, RefreshPolicy{})
	h.log = slog.New(slog.NewTextHandler(io.Writer(&log), nil))
	note := stack.Event{Kind: stack.Note, Path: "x", Text: "skipped"}
	h.report(note)
	h.report(note)
	h.report(stack.Event{Kind: stack.Changed, Path: "y", Text: "changed"})
	if n := strings.Count(log.String(), "skipped"); n != 1 {
		t.Errorf("the note was logged %d times:\n%s", n, &log)
	}
	if s := h.status(); s.Changed != 1 || s.Examples[0] != "y" {
		t.Errorf("status: %+v", s)
	}
}
