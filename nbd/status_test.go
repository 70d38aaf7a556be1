package nbd

import (
	"slices"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// sparseDevice is a huge device of holes with one byte in a thousand pieces.
type sparseDevice struct {
	*memory
	size   int64
	period int64 // a hole of period-4096, then 4096 bytes of data
	calls  int
}

func (d *sparseDevice) Size() int64 { return d.size }

func (d *sparseDevice) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	d.calls++
	for n > 0 {
		at := off % d.period
		e := block.Extent{Off: off, Flags: block.Hole | block.Zero, Len: d.period - 4096 - at}
		if e.Len <= 0 {
			e.Flags, e.Len = 0, d.period-at
		}
		e.Len = min(e.Len, n)
		dst = append(dst, e)
		off, n = off+e.Len, n-e.Len
	}
	return dst, nil
}

// selectContexts selects contexts and returns their names by id.
func (c *rawClient) selectContexts(export string, queries ...string) map[uint32]string {
	c.t.Helper()
	q := wire.MetaRequest{Name: export, Queries: queries}
	names := map[uint32]string{}
	for _, r := range c.expect(wire.OptSetMetaContext, q.Append(nil), wire.RepAck) {
		if r.kind == wire.RepMetaContext {
			id, name, err := wire.DecodeMetaContext(r.data)
			c.must(err)
			names[id] = name
		}
	}
	return names
}

func TestMetaContexts(t *testing.T) {
	own := MetaContext{"x-test:parity", func(dst []Status, off, n int64) ([]Status, error) {
		return append(dst, Status{1, uint64(off & 1)}), nil
	}}
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: newMemory(1<<20, 51), Contexts: []MetaContext{own}})
	c := s.client(t)
	c.start(wire.Structured)
	list := func(queries ...string) (names []string) {
		q := wire.MetaRequest{Name: "disk", Queries: queries}
		for _, r := range c.expect(wire.OptListMetaContext, q.Append(nil), wire.RepAck) {
			if r.kind == wire.RepMetaContext {
				_, name, err := wire.DecodeMetaContext(r.data)
				c.must(err)
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	all := []string{"base:allocation", "qemu:allocation-depth", "x-test:parity"}
	for _, x := range []struct{ queries, want []string }{
		{nil, all},
		{[]string{"base:"}, all[:1]},
		{[]string{"qemu:", "x-test:parity", "what:ever"}, all[1:]},
		{[]string{"base:none"}, nil},
	} {
		if got := list(x.queries...); !slices.Equal(got, x.want) {
			t.Errorf("list %q: %q", x.queries, got)
		}
	}
	if got := c.selectContexts("disk", "base:", "qemu:none"); len(got) != 0 {
		t.Errorf("wildcards selected %v", got)
	}
	if got := c.selectContexts("disk"); len(got) != 0 {
		t.Errorf("no query selected %v", got)
	}
	names := c.selectContexts("disk", "x-test:parity", "base:allocation")
	c.goTo("disk")
	a := c.do(wire.Request{Command: wire.CmdBlockStatus, Offset: 3, Length: 3}, nil)
	for id, ds := range a.states {
		want := []wire.Descriptor{{Length: 3}}
		if names[id] == "x-test:parity" {
			want = []wire.Descriptor{{Length: 1, Status: 1}, {Length: 1}, {Length: 1, Status: 1}}
		}
		if !slices.Equal(ds, want) {
			t.Errorf("%s: %v", names[id], ds)
		}
	}
	if len(a.states) != 2 {
		t.Errorf("states of %d contexts", len(a.states))
	}
	c.disconnect()
}

// deepDevice says itself how deep its bytes lie.
type deepDevice struct{ *memory }

func (deepDevice) MetaContexts() []MetaContext {
	return []MetaContext{{wire.ContextDepth, func(dst []Status, off, n int64) ([]Status, error) {
		return append(dst, Status{n, 7}), nil
	}}}
}

func TestContextsOfADevice(t *testing.T) {
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: deepDevice{newMemory(4096, 1)}})
	c := s.client(t)
	c.start(wire.Structured)
	names := c.selectContexts("disk", wire.ContextDepth, wire.ContextAllocation)
	c.goTo("disk")
	a := c.do(wire.Request{Command: wire.CmdBlockStatus, Length: 4096}, nil)
	for id, ds := range a.states {
		if want := map[string]uint64{wire.ContextDepth: 7}[names[id]]; len(ds) != 1 || ds[0].Status != want {
			t.Errorf("%s: %v", names[id], ds)
		}
	}
	c.disconnect()
	if _, err := newExport(Export{Device: newMemory(1, 1), Contexts: []MetaContext{{Name: "nonamespace"}}}); err == nil {
		t.Error("a context without a namespace was accepted")
	}
}

func TestContextsOfAnotherExport(t *testing.T) {
	s := serve(t, ServerOptions{}, Export{Name: "a", Device: newMemory(4096, 1)}, Export{Name: "b", Device: newMemory(4096, 2)})
	c := s.client(t)
	c.start(wire.Structured)
	c.selectContexts("a", wire.ContextAllocation)
	c.goTo("b")
	c.checkErrno(wire.Request{Command: wire.CmdBlockStatus, Length: 512}, nil, wire.EINVAL)
	c.disconnect()
}

// TestBlockStatus compares the descriptors of many requests with the bytes.
func TestBlockStatus(t *testing.T) {
	m := newMemory(4<<20, 52)
	clear(m.data[64<<10 : 1<<20])
	clear(m.data[2<<20 : 2<<20+4096])
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
	for _, mode := range allModes[1:] {
		c := s.client(t)
		c.start(mode)
		names := c.selectContexts("disk", wire.ContextAllocation, wire.ContextDepth)
		c.goTo("disk")
		if got := c.info.Flags&wire.BlockStatusPayload != 0; got != (mode == wire.Extended) {
			t.Errorf("%v: flags %#x", mode, c.info.Flags)
		}
		for _, flags := range []wire.CommandFlags{0, wire.FlagReqOne} {
			for off := uint64(0); off < 4<<20; off += 333_000 {
				r := wire.Request{Command: wire.CmdBlockStatus, Flags: flags, Offset: off, Length: 4<<20 - off}
				a := c.do(r, nil)
				if len(a.states) != 2 {
					t.Fatalf("states of %d contexts, error %d", len(a.states), a.errno)
				}
				for id, ds := range a.states {
					if flags == wire.FlagReqOne && len(ds) != 1 {
						t.Fatalf("REQ_ONE: %d descriptors", len(ds))
					}
					checkStates(t, m, off, 4<<20, names[id], ds, flags == 0)
				}
			}
		}
		c.disconnect()
	}
}

// checkStates checks descriptors from off against the bytes of m.
func checkStates(t *testing.T, m *memory, off, end uint64, name string, ds []wire.Descriptor, whole bool) {
	t.Helper()
	for _, d := range ds {
		if d.Length > end-off {
			t.Fatalf("%s: a descriptor reaches past the end", name)
		}
		hole := d.Status == 3
		if name == wire.ContextDepth {
			hole = d.Status == 0
		}
		if hole != allZero(m.data[off:off+d.Length]) {
			t.Fatalf("%s: wrong state at %d", name, off)
		}
		off += d.Length
	}
	if whole && off != end {
		t.Errorf("%s: the answer ends at %d", name, off)
	}
}

// TestBlockStatusIsBounded asks for terabytes: the answer and the work for it
// stay small, and asking on from its end arrives.
func TestBlockStatusIsBounded(t *testing.T) {
	for _, period := range []int64{8192, 1 << 34} {
		d := &sparseDevice{memory: newMemory(512, 1), size: 1 << 44, period: period}
		s := serve(t, ServerOptions{}, Export{Name: "disk", Device: d})
		for _, mode := range allModes[1:] {
			c := s.client(t)
			c.start(mode)
			c.selectContexts("disk", wire.ContextAllocation)
			c.goTo("disk")
			d.calls = 0
			length := uint64(1<<32 - 1)
			if mode == wire.Extended {
				length = 1 << 44
			}
			a := c.do(wire.Request{Command: wire.CmdBlockStatus, Length: length}, nil)
			ds := a.states[0]
			if len(ds) == 0 || len(ds) > maxDescriptors || d.calls > 1000 {
				t.Errorf("%v, period %d: %d descriptors, %d calls of the device, error %d", mode, period, len(ds), d.calls, a.errno)
			}
			var sum uint64
			for _, x := range ds {
				sum += x.Length
			}
			if period == 1<<34 && sum < 1<<31 || sum > length {
				t.Errorf("%v, period %d: %d bytes", mode, period, sum)
			}
			c.disconnect()
		}
	}
}

func TestBlockStatusPayload(t *testing.T) {
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: newMemory(1<<20, 53)})
	c := s.client(t)
	c.start(wire.Extended)
	c.selectContexts("disk", wire.ContextAllocation, wire.ContextDepth)
	c.goTo("disk")
	ask := func(length uint64, ids ...uint32) answer {
		p := wire.StatusPayload{Length: length, Contexts: ids}
		data := p.Append(nil)
		r := wire.Request{Command: wire.CmdBlockStatus, Flags: wire.FlagPayloadLen, Length: uint64(len(data))}
		return c.do(r, data)
	}
	for _, ids := range [][]uint32{{0}, {1}, {1, 0}} {
		if a := ask(1<<20, ids...); a.errno != 0 || len(a.states) != len(ids) {
			t.Errorf("contexts %d: error %d, %d states", ids, a.errno, len(a.states))
		}
	}
	for name, a := range map[string]answer{
		"no context": ask(4096), "unknown": ask(4096, 2), "twice": ask(4096, 1, 1), "three": ask(4096, 0, 1, 2),
		"length 0": ask(0, 0), "past the end": ask(1<<20+1, 0), "negative": ask(1<<63, 0),
	} {
		if a.errno != wire.EINVAL {
			t.Errorf("%s: error %d", name, a.errno)
		}
	}
	for _, n := range []int{1, 7, 10} {
		r := wire.Request{Command: wire.CmdBlockStatus, Flags: wire.FlagPayloadLen, Length: uint64(n)}
		c.checkErrno(r, make([]byte, n), wire.EINVAL)
	}
	c.disconnect()
}
