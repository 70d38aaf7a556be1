package nbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/nbd/wire"
)

var allModes = []wire.Mode{wire.Simple, wire.Structured, wire.Extended}

// inAllModes runs f with a client of the export "disk" in each mode.
func inAllModes(t *testing.T, s *testServer, name string, f func(c *rawClient)) {
	for _, m := range allModes {
		t.Run(m.String(), func(t *testing.T) {
			c := s.client(t)
			c.start(m)
			c.goTo(name)
			f(c)
			c.disconnect()
		})
	}
}

func TestReadSizes(t *testing.T) {
	m := newMemory(65<<20, 21)
	clear(m.data[1<<20 : 3<<20])
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
	for _, cached := range []bool{true, false} {
		m.cached = cached
		inAllModes(t, s, "disk", func(c *rawClient) {
			for _, n := range []int{0, 1, 511, 4096, smallRead, smallRead + 1, 1 << 20, 3<<20 + 7, wire.MaxPayload} {
				for _, off := range []int{0, 1, len(m.data) - n} {
					if n == wire.MaxPayload && off != 1 {
						continue // once is enough
					}
					c.checkRead(uint64(off), m.data[off:off+n])
				}
			}
			if c.mode != wire.Simple {
				a := c.do(wire.Request{Command: wire.CmdRead, Flags: wire.FlagDF, Length: 4 << 20}, nil)
				if a.chunks != 1 || !bytes.Equal(a.data, m.data[:4<<20]) {
					t.Errorf("with DF: %d chunks", a.chunks)
				}
			}
		})
	}
}

func TestWrites(t *testing.T) {
	m := newMemory(66<<20, 22)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
	payload := newMemory(wire.MaxPayload, 23).data
	inAllModes(t, s, "disk", func(c *rawClient) {
		var flag wire.CommandFlags
		if c.mode == wire.Extended {
			flag = wire.FlagPayloadLen
		}
		for i, n := range []int{1, 4096, 64 << 10, 1<<20 + 1, wire.MaxPayload} {
			off := uint64(i * 1000)
			r := wire.Request{Command: wire.CmdWrite, Flags: flag, Offset: off, Length: uint64(n)}
			if i%2 == 1 {
				r.Flags |= wire.FlagFUA
			}
			before := m.flushes
			c.checkErrno(r, payload[:n], 0)
			if i%2 == 1 && m.flushes == before {
				c.t.Errorf("FUA write of %d bytes was not flushed", n)
			}
			c.checkRead(off, payload[:n])
		}
		zero := wire.Request{Command: wire.CmdWriteZeroes, Offset: 100, Length: 50 << 20}
		c.checkErrno(zero, nil, 0)
		c.checkRead(100, make([]byte, 50<<20))
		trim := wire.Request{Command: wire.CmdTrim, Offset: 51 << 20, Length: 4096, Flags: wire.FlagFUA}
		c.checkErrno(trim, nil, 0)
		c.checkErrno(wire.Request{Command: wire.CmdFlush}, nil, 0)
		c.checkErrno(wire.Request{Command: wire.CmdCache, Length: 1 << 20}, nil, 0)
	})
}

// badRequests are requests with one wrong field, by mode, on a read-write
// export of size bytes.
func badRequests(mode wire.Mode, size uint64) map[string]struct {
	r    wire.Request
	data int // bytes of payload
	want wire.Errno
} {
	type bad = struct {
		r    wire.Request
		data int
		want wire.Errno
	}
	var p wire.CommandFlags
	if mode == wire.Extended {
		p = wire.FlagPayloadLen
	}
	all := map[string]bad{
		"command 8":                  {wire.Request{Command: 8}, 0, wire.EINVAL},
		"command 65535":              {wire.Request{Command: 65535}, 0, wire.EINVAL},
		"read: unknown flag":         {wire.Request{Command: wire.CmdRead, Flags: 1 << 9, Length: 1}, 0, wire.EINVAL},
		"read: REQ_ONE":              {wire.Request{Command: wire.CmdRead, Flags: wire.FlagReqOne, Length: 1}, 0, wire.EINVAL},
		"read: past the end":         {wire.Request{Command: wire.CmdRead, Offset: size - 1, Length: 2}, 0, wire.EINVAL},
		"read: far past the end":     {wire.Request{Command: wire.CmdRead, Offset: math.MaxUint64, Length: 1}, 0, wire.EINVAL},
		"read: negative offset":      {wire.Request{Command: wire.CmdRead, Offset: 1 << 63, Length: 1}, 0, wire.EINVAL},
		"read: too long":             {wire.Request{Command: wire.CmdRead, Length: wire.MaxPayload + 1}, 0, wire.EINVAL},
		"read: 4 GiB":                {wire.Request{Command: wire.CmdRead, Length: 1<<32 - 1}, 0, wire.EINVAL},
		"write: past the end":        {wire.Request{Command: wire.CmdWrite, Flags: p, Offset: size - 1, Length: 2}, 2, wire.ENOSPC},
		"write: far past the end":    {wire.Request{Command: wire.CmdWrite, Flags: p, Offset: math.MaxUint64, Length: 2}, 2, wire.ENOSPC},
		"write: NO_HOLE":             {wire.Request{Command: wire.CmdWrite, Flags: p | wire.FlagNoHole, Length: 3}, 3, wire.EINVAL},
		"write: 1 MiB, bad flag":     {wire.Request{Command: wire.CmdWrite, Flags: p | wire.FlagDF, Length: 1 << 20}, 1 << 20, wire.EINVAL},
		"flush: offset":              {wire.Request{Command: wire.CmdFlush, Offset: 1}, 0, wire.EINVAL},
		"flush: length":              {wire.Request{Command: wire.CmdFlush, Length: 1}, 0, wire.EINVAL},
		"trim: past the end":         {wire.Request{Command: wire.CmdTrim, Offset: size, Length: 1}, 0, wire.EINVAL},
		"trim: FAST_ZERO":            {wire.Request{Command: wire.CmdTrim, Flags: wire.FlagFastZero, Length: 1}, 0, wire.EINVAL},
		"cache: past the end":        {wire.Request{Command: wire.CmdCache, Offset: size, Length: 1}, 0, wire.EINVAL},
		"cache: too long":            {wire.Request{Command: wire.CmdCache, Length: wire.MaxPayload + 1}, 0, wire.EINVAL},
		"cache: DF":                  {wire.Request{Command: wire.CmdCache, Flags: wire.FlagDF, Length: 1}, 0, wire.EINVAL},
		"zeroes: past the end":       {wire.Request{Command: wire.CmdWriteZeroes, Length: size + 1}, 0, wire.ENOSPC},
		"zeroes: DF":                 {wire.Request{Command: wire.CmdWriteZeroes, Flags: wire.FlagDF, Length: 1}, 0, wire.EINVAL},
		"status: no context":         {wire.Request{Command: wire.CmdBlockStatus, Length: 1}, 0, wire.EINVAL},
		"status: no context, length": {wire.Request{Command: wire.CmdBlockStatus}, 0, wire.EINVAL},
	}
	switch mode {
	case wire.Simple:
		all["read: DF"] = bad{wire.Request{Command: wire.CmdRead, Flags: wire.FlagDF, Length: 1}, 0, wire.EINVAL}
		fallthrough
	case wire.Structured:
		all["payload flag"] = bad{wire.Request{Command: wire.CmdWrite, Flags: wire.FlagPayloadLen, Length: 7}, 7, wire.EINVAL}
	case wire.Extended:
		all["write without the payload flag"] = bad{wire.Request{Command: wire.CmdWrite, Length: 7}, 0, wire.EINVAL}
		all["read with payload"] = bad{wire.Request{Command: wire.CmdRead, Flags: wire.FlagPayloadLen, Length: 7}, 7, wire.EINVAL}
		all["status with payload, no context"] = bad{wire.Request{Command: wire.CmdBlockStatus, Flags: wire.FlagPayloadLen, Length: 12}, 12, wire.EINVAL}
		all["read of 2^63"] = bad{wire.Request{Command: wire.CmdRead, Length: 1 << 63}, 0, wire.EINVAL}
		all["trim of 2^64-1"] = bad{wire.Request{Command: wire.CmdTrim, Offset: 1, Length: math.MaxUint64}, 0, wire.EINVAL}
		all["zeroes of 2^64-1"] = bad{wire.Request{Command: wire.CmdWriteZeroes, Offset: 1, Length: math.MaxUint64}, 0, wire.ENOSPC}
	}
	return all
}

func TestBadRequests(t *testing.T) {
	m := newMemory(2<<20, 24)
	before := m.snapshot()
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
	inAllModes(t, s, "disk", func(c *rawClient) {
		for name, b := range badRequests(c.mode, uint64(len(m.data))) {
			a := c.do(b.r, make([]byte, b.data))
			if a.errno != b.want {
				c.t.Errorf("%s: error %d, expected %d", name, a.errno, b.want)
			}
			c.checkRead(100, before[100:700]) // the connection goes on
		}
	})
	if !bytes.Equal(m.snapshot(), before) {
		t.Error("a refused request changed the device")
	}
}

func TestReadOnly(t *testing.T) {
	m := newMemory(1<<20, 25)
	m.limits.ReadOnly = true
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
	inAllModes(t, s, "disk", func(c *rawClient) {
		if f := c.info.Flags; f&wire.ReadOnly == 0 || f&(wire.SendTrim|wire.SendWriteZeroes|wire.SendFastZero) != 0 {
			c.t.Errorf("flags %#x", f)
		}
		var p wire.CommandFlags
		if c.mode == wire.Extended {
			p = wire.FlagPayloadLen
		}
		c.checkErrno(wire.Request{Command: wire.CmdWrite, Flags: p, Length: 512}, make([]byte, 512), wire.EPERM)
		c.checkErrno(wire.Request{Command: wire.CmdTrim, Length: 512}, nil, wire.EPERM)
		c.checkErrno(wire.Request{Command: wire.CmdWriteZeroes, Length: 512}, nil, wire.EPERM)
		c.checkErrno(wire.Request{Command: wire.CmdFlush}, nil, 0)
		c.checkErrno(wire.Request{Command: wire.CmdCache, Length: 512}, nil, 0)
	})
}

func TestOptionalCommandsNotOffered(t *testing.T) {
	m := newMemory(1<<20, 26)
	m.limits.Discard, m.limits.FastZero = false, false
	m.limits.MinBlock = 4096
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
	inAllModes(t, s, "disk", func(c *rawClient) {
		if f := c.info.Flags; f&(wire.SendTrim|wire.SendFastZero) != 0 || f&wire.SendWriteZeroes == 0 {
			c.t.Errorf("flags %#x", f)
		}
		c.checkErrno(wire.Request{Command: wire.CmdTrim, Length: 4096}, nil, wire.EINVAL)
		c.checkErrno(wire.Request{Command: wire.CmdWriteZeroes, Flags: wire.FlagFastZero, Length: 4096}, nil, wire.EINVAL)
		c.checkErrno(wire.Request{Command: wire.CmdRead, Offset: 512, Length: 4096}, nil, wire.EINVAL)
		c.checkErrno(wire.Request{Command: wire.CmdRead, Length: 512}, nil, wire.EINVAL)
	})
}

// TestViolations sends what leaves no way to go on.
func TestViolations(t *testing.T) {
	s, _ := twoExports(t)
	huge := wire.Request{Command: wire.CmdWrite, Length: wire.MaxPayload + 1, Flags: wire.FlagPayloadLen}
	for _, mode := range allModes {
		wrong := make([]byte, 32)
		binary.BigEndian.PutUint32(wrong, 0x12560953) // a reserved magic
		other := (&wire.Request{Command: wire.CmdRead}).Append(nil, wire.Extended-mode/2*2)
		for name, p := range map[string][]byte{"magic": wrong, "other mode": append(other, make([]byte, 32)...), "4 GiB": huge.Append(nil, mode)} {
			t.Run(fmt.Sprint(mode, name), func(t *testing.T) {
				c := s.client(t)
				c.start(mode)
				c.goTo("disk")
				c.send(p)
				c.checkClosed()
			})
		}
	}
}

func TestDeviceErrors(t *testing.T) {
	m := newMemory(1<<20, 27)
	fail := errors.New("head crash")
	m.before = func(op string, off, n int64) error {
		switch {
		case op == "write":
			return &diskerr.NoSpaceError{What: "disk", Needed: -1, Available: -1}
		case op == "flush" || op == "zero" || op == "extents" || off >= 512<<10:
			return fail
		}
		return nil
	}
	for _, cached := range []bool{true, false} {
		m.cached = cached
		s := serve(t, ServerOptions{}, Export{Name: "disk", Device: m})
		inAllModes(t, s, "disk", func(c *rawClient) {
			var p wire.CommandFlags
			if c.mode == wire.Extended {
				p = wire.FlagPayloadLen
			}
			c.checkErrno(wire.Request{Command: wire.CmdRead, Offset: 512 << 10, Length: 4096}, nil, wire.EIO)
			c.checkErrno(wire.Request{Command: wire.CmdRead, Offset: 512 << 10, Length: 256 << 10}, nil, wire.EIO)
			c.checkErrno(wire.Request{Command: wire.CmdWrite, Flags: p, Length: 512}, make([]byte, 512), wire.ENOSPC)
			c.checkErrno(wire.Request{Command: wire.CmdFlush}, nil, wire.EIO)
			c.checkErrno(wire.Request{Command: wire.CmdTrim, Length: 512}, nil, wire.EIO)
			c.checkErrno(wire.Request{Command: wire.CmdWriteZeroes, Length: 512}, nil, wire.EIO)
			c.checkErrno(wire.Request{Command: wire.CmdCache, Offset: 600 << 10, Length: 512}, nil, wire.EIO)
			c.checkRead(0, m.data[:1000])
		})
		if e := s.Stats().Exports[0].Errors; e < 7*3 {
			t.Errorf("%d errors counted", e)
		}
	}
}
