package nbd

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// task is a request on its way through a worker, or through the reader when
// inline is set.
type task struct {
	req     wire.Request
	inline  bool
	payload []byte          // of a write, in the input buffer (inline only)
	bufs    []*buffer       // of a write, otherwise
	lens    []int           // bytes used of each of bufs
	hold    hold            // memory of the request
	segs    []block.Segment // scratch: of a large read, as the device gave them
	loaded  []block.Segment // scratch: as they are sent
	pieces  []piece         // scratch: the reply
	ids     []uint32        // contexts asked for by the payload of a block status request
	status  statusWork      // scratch
}

var tasks = sync.Pool{New: func() any { return new(task) }}

func newTask(r *wire.Request) *task {
	t := tasks.Get().(*task)
	t.req = *r
	return t
}

// free gives the task and what it still holds back.
func (c *conn) free(t *task) {
	for i, b := range t.bufs {
		b.put()
		t.bufs[i] = nil
	}
	c.mem.release(t.hold)
	clear(t.segs)
	clear(t.loaded)
	clear(t.pieces)
	*t = task{
		bufs: t.bufs[:0], lens: t.lens[:0],
		segs: t.segs[:0], loaded: t.loaded[:0], pieces: t.pieces[:0],
		status: t.status.reset(),
	}
	tasks.Put(t)
}

// handOver gives t to a worker, waiting for one if all are busy.
func (c *conn) handOver(t *task) error {
	c.pending.Add(1)
	select {
	case c.tasks <- t:
		return nil
	default:
	}
	if c.workers < maxWorkers {
		c.workers++
		c.running.Add(1)
		go c.work(t)
		return nil
	}
	c.flushBatch()
	select {
	case c.tasks <- t:
		return nil
	case <-c.closing:
		c.pending.Add(-1)
		c.free(t)
		return errAborted
	}
}

// work is a worker.
func (c *conn) work(t *task) {
	defer c.running.Done()
	for ok := true; ok; t, ok = <-c.tasks {
		g := &c.gates[gateOf(&t.req)]
		start := time.Now()
		c.execute(t)
		g.record(time.Since(start))
		c.pending.Add(-1)
		c.out.flush()
	}
}

// execute carries t out, answers it and frees it.
func (c *conn) execute(t *task) {
	defer c.free(t)
	switch t.req.Command {
	case wire.CmdRead:
		c.executeRead(t)
	case wire.CmdWrite:
		c.executeWrite(t)
	case wire.CmdFlush:
		c.replyDone(t, c.exp.flush.flush())
	case wire.CmdTrim:
		c.executeTrim(t)
	case wire.CmdCache:
		c.executeCache(t)
	case wire.CmdWriteZeroes:
		c.executeWriteZeroes(t)
	case wire.CmdBlockStatus:
		c.executeStatus(t)
	default:
		panic("nbd: a request of unknown type passed the check")
	}
}

// gateID is a kind of request.
type gateID int

const (
	gateRead gateID = iota
	gateLargeRead
	gateWrite
	gateLargeWrite
	gateSync // flush, and whatever has FUA
	gateOther
	numGates
)

// gate decides whether the reader executes requests of a kind itself. It is
// open while the device answers them quickly: then handing them over costs
// more than the wait, and the reader is not kept from the next request for
// long. It closes when slow requests come often, not for a single one, which any
// busy machine has, and opens again after many quick ones.
type gate struct {
	score atomic.Int32 // rises with slow requests and falls with quick ones; see open
	usual atomic.Int64 // nanoseconds, a floating average
}

const (
	gateQuick = 100 * time.Microsecond
	gateSlow  = 40  // added by a slow request; a quick one takes 1
	gateMost  = 128 // of the score
	gateOpen  = 64  // the gate is open below
	gateStart = 72
	gateBrief = 500 * time.Microsecond
)

func (g *gate) open() bool { return g.score.Load() < gateOpen }

// brief reports whether requests usually take no longer than it would do harm
// to wait for one.
func (g *gate) brief() bool {
	usual := g.usual.Load()
	return usual > 0 && usual < int64(gateBrief)
}

// record takes note of how long a request took. Concurrent calls may lose one
// another's note, which does no harm.
func (g *gate) record(d time.Duration) {
	usual := g.usual.Load()
	if usual == 0 {
		usual = int64(d)
	}
	g.usual.Store(usual + (int64(d)-usual)/16)
	score := g.score.Load()
	switch {
	case d > gateQuick:
		g.score.Store(min(score+gateSlow, gateMost))
	case score > 0:
		g.score.Store(score - 1)
	}
}
