package nbd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/nbd/wire"
)

// syncDevice remembers what was written when its last finished sync began.
type syncDevice struct {
	*memory
	mu      sync.Mutex
	durable []byte
	syncs   int
}

func (d *syncDevice) Flush() error {
	covered := d.snapshot()
	time.Sleep(time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable, d.syncs = covered, d.syncs+1
	return nil
}

// isDurable reports whether the byte at off is v on stable storage.
func (d *syncDevice) isDurable(off int, v byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.durable[off] == v
}

// TestDurability writes on some connections and flushes on others, or asks for
// FUA: what was answered is durable, and many requests share a sync.
func TestDurability(t *testing.T) {
	const writers, rounds = 8, 40
	m := newMemory(1<<16, 28)
	d := &syncDevice{memory: m, durable: m.snapshot()}
	s := serve(t, ServerOptions{}, Export{Device: d})
	var wg sync.WaitGroup
	for w := range writers {
		write, flush := s.client(t), s.client(t)
		write.open("")
		flush.open("")
		wg.Go(func() {
			at := w * 512
			for i := range rounds {
				v := byte(i + 1)
				r := wire.Request{Command: wire.CmdWrite, Offset: uint64(at), Length: 512}
				if i%2 == 0 {
					r.Flags = wire.FlagFUA
				}
				write.checkErrno(r, bytes.Repeat([]byte{v}, 512), 0)
				if i%2 == 1 {
					flush.checkErrno(wire.Request{Command: wire.CmdFlush}, nil, 0)
				}
				if !d.isDurable(at, v) || !d.isDurable(at+511, v) {
					t.Errorf("writer %d: round %d was answered and is not durable", w, i)
					return
				}
			}
		})
	}
	wg.Wait()
	if d.syncs > writers*rounds/2 {
		t.Errorf("%d syncs for %d requests", d.syncs, writers*rounds)
	}
}

// TestLongZeroes trims and zeroes up to the 4 GiB - 1 of a 32-bit length, and
// beyond it where headers are extended.
func TestLongZeroes(t *testing.T) {
	const size = 20 << 30
	d := mem.New(size)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: d})
	inAllModes(t, s, "disk", func(c *rawClient) {
		lengths := []uint64{1<<32 - 1}
		if c.mode == wire.Extended {
			lengths = append(lengths, 16<<30)
		}
		for _, n := range lengths {
			for _, command := range []wire.Command{wire.CmdTrim, wire.CmdWriteZeroes} {
				for _, off := range []int64{0, 1 << 20, int64(n) - 1, int64(n)} {
					if _, err := d.WriteAt([]byte{1}, off); err != nil {
						t.Fatal(err)
					}
				}
				c.checkErrno(wire.Request{Command: command, Length: n}, nil, 0)
				c.checkRead(0, []byte{0})
				c.checkRead(1<<20, []byte{0})
				c.checkRead(n-1, []byte{0, 1})
			}
		}
	})
}

// slowZeroer can zero, but not fast.
type slowZeroer struct{ *memory }

func (d slowZeroer) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if f&block.FastOnly != 0 {
		return errors.ErrUnsupported
	}
	return d.memory.WriteZeroes(off, n, f)
}

func TestFastZeroRefused(t *testing.T) {
	m := newMemory(1<<20, 29)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: slowZeroer{m}})
	inAllModes(t, s, "disk", func(c *rawClient) {
		r := wire.Request{Command: wire.CmdWriteZeroes, Flags: wire.FlagFastZero, Length: 4096}
		c.checkErrno(r, nil, wire.ENOTSUP)
		c.checkRead(0, m.data[:4096])
	})
}

// TestBudget checks that memory is given out in order and never twice.
func TestBudget(t *testing.T) {
	b := newBudget(100)
	if n, ok := b.acquire(1000, nil); n != 100 || !ok {
		t.Fatalf("a claim larger than all: %d, %v", n, ok)
	}
	cancel := make(chan struct{})
	order := make(chan int, 3)
	for i := range 3 {
		var c <-chan struct{}
		if i == 1 {
			c = cancel
		}
		go func() {
			if _, ok := b.acquire(60, c); ok {
				order <- i
			}
		}()
		waitFor(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.waiting) == i+1
		})
	}
	if _, ok := b.try(1); ok {
		t.Error("a newcomer got ahead of those who wait")
	}
	b.release(100)
	if first := <-order; first != 0 {
		t.Errorf("claim %d was served first", first)
	}
	close(cancel)
	waitFor(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.waiting) == 1
	})
	b.release(60)
	if second := <-order; second != 2 {
		t.Errorf("claim %d was served second", second)
	}
	if b.release(60); b.free != b.size {
		t.Errorf("%d of %d bytes are free at the end", b.free, b.size)
	}
}

func TestPassedListenersRefuses(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, x := range []struct {
		pid, count string
		fails      bool
	}{{pid, "many", true}, {pid, "-1", true}, {pid, "100000", true}, {"1", "1", false}, {"", "1", false}, {pid, "0", false}} {
		t.Setenv("LISTEN_PID", x.pid)
		t.Setenv("LISTEN_FDS", x.count)
		ls, err := PassedListeners()
		if (err != nil) != x.fails || len(ls) > 0 {
			t.Errorf("LISTEN_PID %q, LISTEN_FDS %q: %d sockets, %v", x.pid, x.count, len(ls), err)
		}
		if os.Getenv("LISTEN_FDS") != "" {
			t.Error("children would take the sockets for theirs")
		}
	}
}

// TestIdleTimeoutSparesTheBusy checks that only a client that asks for nothing
// runs into the limit.
func TestIdleTimeoutSparesTheBusy(t *testing.T) {
	m := newMemory(1<<20, 30)
	s := serve(t, ServerOptions{IdleTimeout: 2 * time.Second}, Export{Device: m})
	c := openClient(t, Dialer{}, s.uri(""))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		if _, err := c.ReadAt(buf, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
