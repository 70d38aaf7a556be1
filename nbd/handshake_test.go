package nbd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// client connects a rawClient to the server.
func (s *testServer) client(t testing.TB) *rawClient {
	t.Helper()
	return &rawClient{t: t, nc: s.dial(t)}
}

func twoExports(t testing.TB) (*testServer, *memory) {
	m := newMemory(1<<20, 11)
	ro := newMemory(4096, 12)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Description: "the disk", Device: m}, Export{Name: "ro", Device: ro, ReadOnly: true})
	return s, m
}

func TestExportName(t *testing.T) {
	s, m := twoExports(t)
	for _, flags := range []uint32{0, wire.FlagFixedNewstyle, wire.FlagNoZeroes, wire.FlagFixedNewstyle | wire.FlagNoZeroes} {
		c := s.client(t)
		c.greet(flags)
		c.send(wire.AppendOption(nil, wire.OptExportName, []byte("disk")))
		e, err := wire.DecodeExportInfo(c.recv(wire.ExportReplyLen))
		c.must(err)
		if e.Size != 1<<20 || e.Flags&wire.SendDF != 0 || e.Flags&wire.HasFlags == 0 {
			t.Errorf("flags %d: %+v", flags, e)
		}
		if flags&wire.FlagNoZeroes == 0 && !allZero(c.recv(wire.ExportZeroesLen)) {
			t.Error("the padding is not zero")
		}
		c.checkRead(1000, m.data[1000:9000])
		c.disconnect()
	}
	c := s.client(t)
	c.greet(0)
	c.send(wire.AppendOption(nil, wire.OptExportName, []byte("none")))
	c.checkClosed()
}

func TestAlias(t *testing.T) {
	s, m := twoExports(t)
	if err := s.AddAlias("", "disk"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddAlias("", "ro"); err == nil {
		t.Error("an alias was given twice")
	}
	if err := s.AddAlias("x", "none"); err == nil {
		t.Error("an alias of nothing")
	}
	c := s.client(t)
	c.start(wire.Structured)
	if n := len(c.expect(wire.OptList, nil, wire.RepAck)); n != 3 {
		t.Errorf("%d replies to the list", n)
	}
	q := wire.InfoRequest{Infos: []wire.Info{wire.InfoName, wire.InfoDescription, 77, wire.InfoBlockSize}}
	names := map[wire.Info]string{}
	for _, r := range c.expect(wire.OptInfo, q.Append(nil), wire.RepAck) {
		if r.kind == wire.RepInfo {
			kind, p, err := wire.DecodeInfo(r.data)
			c.must(err)
			names[kind] = string(p)
		}
	}
	if names[wire.InfoName] != "disk" || names[wire.InfoDescription] != "the disk" || len(names[wire.InfoBlockSize]) != 12 {
		t.Errorf("information: %q", names)
	}
	c.goTo("")
	c.checkRead(0, m.data[:512])
	c.disconnect()
}

// option data with one wrong field each.
func badOptions() map[string]struct {
	o    wire.Option
	data []byte
	want wire.OptionReply
} {
	be := binary.BigEndian
	long := strings.Repeat("n", wire.MaxString+1)
	meta := func(name string, count uint32, queries ...string) []byte {
		p := append(be.AppendUint32(nil, uint32(len(name))), name...)
		p = be.AppendUint32(p, count)
		for _, q := range queries {
			p = append(be.AppendUint32(p, uint32(len(q))), q...)
		}
		return p
	}
	manyQueries := meta("disk", maxQueries+1, strings.Split(strings.Repeat("a:,", maxQueries)+"a:", ",")...)
	return map[string]struct {
		o    wire.Option
		data []byte
		want wire.OptionReply
	}{
		"unknown option":                 {99, nil, wire.RepErrUnsupported},
		"option 4":                       {4, []byte("x"), wire.RepErrUnsupported},
		"list with data":                 {wire.OptList, []byte("x"), wire.RepErrInvalid},
		"structured with data":           {wire.OptStructuredReply, []byte("x"), wire.RepErrInvalid},
		"extended with data":             {wire.OptExtendedHeaders, []byte("x"), wire.RepErrInvalid},
		"starttls with data":             {wire.OptStartTLS, []byte("x"), wire.RepErrInvalid},
		"starttls without TLS":           {wire.OptStartTLS, nil, wire.RepErrPolicy},
		"info: empty":                    {wire.OptInfo, nil, wire.RepErrInvalid},
		"go: empty":                      {wire.OptGo, nil, wire.RepErrInvalid},
		"go: name length too long":       {wire.OptGo, []byte{0, 0, 0, 5, 'd', 0, 0}, wire.RepErrInvalid},
		"go: name length 4 GiB":          {wire.OptGo, []byte{255, 255, 255, 255, 0, 0}, wire.RepErrInvalid},
		"go: no count":                   {wire.OptGo, []byte{0, 0, 0, 1, 'd', 0}, wire.RepErrInvalid},
		"go: count too large":            {wire.OptGo, []byte{0, 0, 0, 0, 0, 2, 0, 0}, wire.RepErrInvalid},
		"go: count too small":            {wire.OptGo, []byte{0, 0, 0, 0, 0, 0, 0, 0}, wire.RepErrInvalid},
		"go: unknown export":             {wire.OptGo, []byte{0, 0, 0, 1, 'q', 0, 0}, wire.RepErrUnknown},
		"go: NUL in the name":            {wire.OptGo, []byte{0, 0, 0, 1, 0, 0, 0}, wire.RepErrInvalid},
		"go: name is not UTF-8":          {wire.OptGo, []byte{0, 0, 0, 1, 0xff, 0, 0}, wire.RepErrInvalid},
		"go: name longer than 4096":      {wire.OptGo, append(append(be.AppendUint32(nil, uint32(len(long))), long...), 0, 0), wire.RepErrInvalid},
		"go: 40 KiB":                     {wire.OptGo, make([]byte, 40<<10), wire.RepErrTooBig},
		"unknown option, 1 MiB":          {1 << 31, make([]byte, 1<<20), wire.RepErrTooBig},
		"list contexts: empty":           {wire.OptListMetaContext, nil, wire.RepErrInvalid},
		"set contexts: no count":         {wire.OptSetMetaContext, meta("disk", 0)[:8], wire.RepErrInvalid},
		"set contexts: count 4 G":        {wire.OptSetMetaContext, meta("disk", 1<<32-1), wire.RepErrInvalid},
		"set contexts: count too small":  {wire.OptSetMetaContext, meta("disk", 1, "base:allocation", "x:y"), wire.RepErrInvalid},
		"set contexts: query cut short":  {wire.OptSetMetaContext, meta("disk", 1, "base:allocation")[:20], wire.RepErrInvalid},
		"set contexts: unknown export":   {wire.OptSetMetaContext, meta("none", 1, "base:allocation"), wire.RepErrUnknown},
		"set contexts: no namespace":     {wire.OptSetMetaContext, meta("disk", 1, "base"), wire.RepErrInvalid},
		"set contexts: too many":         {wire.OptSetMetaContext, manyQueries, wire.RepErrTooBig},
		"set contexts: unknown, ignored": {wire.OptSetMetaContext, meta("disk", 2, "base:", "x-y:z"), wire.RepAck},
	}
}

func TestBadOptions(t *testing.T) {
	s, m := twoExports(t)
	for name, b := range badOptions() {
		t.Run(name, func(t *testing.T) {
			c := s.client(t)
			c.start(wire.Structured)
			c.expect(b.o, b.data, b.want)
			// The negotiation goes on after an error.
			c.goTo("disk")
			c.checkRead(512, m.data[512:1024])
			c.disconnect()
		})
	}
}

func TestOptionsBeforeTheirTime(t *testing.T) {
	s, _ := twoExports(t)
	q := wire.MetaRequest{Name: "disk", Queries: []string{wire.ContextAllocation}}
	c := s.client(t)
	c.start(wire.Simple)
	c.expect(wire.OptSetMetaContext, q.Append(nil), wire.RepErrInvalid)
	c.expect(wire.OptListMetaContext, q.Append(nil), wire.RepErrInvalid)
	c.expect(wire.OptExtendedHeaders, nil, wire.RepAck)
	c.expect(wire.OptStructuredReply, nil, wire.RepErrExtHeaderReqd)
	c.expect(wire.OptExtendedHeaders, nil, wire.RepAck)
	c.send(wire.AppendOption(nil, wire.OptExportName, []byte("disk")))
	c.checkClosed()

	c = s.client(t)
	c.greet(0) // not fixed newstyle
	c.send(wire.AppendOption(nil, wire.OptList, nil))
	c.checkClosed()
}

// badStreams are openings that end the connection without an answer.
func badStreams() map[string][]byte {
	be := binary.BigEndian
	fixed := []byte{0, 0, 0, 3}
	option := func(magic uint64, o wire.Option, n uint32, data ...byte) []byte {
		p := be.AppendUint64(bytes.Clone(fixed), magic)
		p = be.AppendUint32(be.AppendUint32(p, uint32(o)), n)
		return append(p, data...)
	}
	return map[string][]byte{
		"unknown client flags":       {0, 0, 0, 7},
		"HTTP":                       []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"wrong magic":                option(wire.MagicNBD, wire.OptList, 0),
		"reply magic":                option(wire.MagicOptionReply, wire.OptList, 0),
		"option of 4 GiB":            option(wire.MagicOption, wire.OptList, 1<<32-1),
		"unknown option of 2 MiB":    option(wire.MagicOption, 99, 2<<20),
		"export name of 1 MiB":       option(wire.MagicOption, wire.OptExportName, 1<<20),
		"export name longer than 4K": option(wire.MagicOption, wire.OptExportName, 5000, bytes.Repeat([]byte("x"), 5000)...),
		"export name not UTF-8":      option(wire.MagicOption, wire.OptExportName, 1, 0xff),
		"export name unknown":        option(wire.MagicOption, wire.OptExportName, 1, '?'),
		"256 options":                append(bytes.Clone(fixed), bytes.Repeat(wire.AppendOption(nil, 99, nil), maxOptions+1)...),
	}
}

func TestBadStreams(t *testing.T) {
	s, _ := twoExports(t)
	for name, p := range badStreams() {
		t.Run(name, func(t *testing.T) {
			c := s.client(t)
			c.recv(wire.GreetingLen)
			c.nc.Write(p) // may fail when the server closes first
			c.drainUntilClosed()
		})
	}
	if f := s.Stats().Failed; f < uint64(len(badStreams())) {
		t.Errorf("%d failures counted", f)
	}
}

// drainUntilClosed checks that the server closes the connection.
func (c *rawClient) drainUntilClosed() {
	c.t.Helper()
	buf := make([]byte, 4096)
	for {
		_, err := c.nc.Read(buf)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			c.t.Error("the server did not close the connection")
		}
		if err != nil {
			return
		}
	}
}

func TestAbort(t *testing.T) {
	s, _ := twoExports(t)
	c := s.client(t)
	c.start(wire.Simple)
	c.expect(wire.OptAbort, []byte("ignored"), wire.RepAck)
	c.checkClosed()
}

func TestHandshakeTimeout(t *testing.T) {
	s := serve(t, ServerOptions{HandshakeTimeout: 50 * time.Millisecond}, Export{Device: newMemory(512, 1)})
	c := s.client(t)
	c.recv(wire.GreetingLen)
	c.send([]byte{0, 0}) // half of the flags
	c.drainUntilClosed()
	// A client that is through is not disturbed by the timeout.
	c = s.client(t)
	c.open("")
	time.Sleep(100 * time.Millisecond)
	c.checkRead(0, make([]byte, 0))
	c.disconnect()
}

func TestConnectionLimit(t *testing.T) {
	s := serve(t, ServerOptions{MaxConns: 2}, Export{Device: newMemory(512, 1)}, Export{Name: "one", Device: newMemory(512, 1), MaxConns: 1})
	a, b := s.client(t), s.client(t)
	a.open("one")
	b.start(wire.Simple)
	q := wire.InfoRequest{Name: "one"}
	b.expect(wire.OptGo, q.Append(nil), wire.RepErrPolicy)
	b.goTo("")
	third := s.client(t)
	third.drainUntilClosed()
	a.disconnect()
	b.disconnect()
	waitFor(t, func() bool { return s.Stats().Conns == 0 })
	again := s.client(t)
	again.open("one")
	again.disconnect()
	if n := s.Stats().Refused; n != 1 {
		t.Errorf("%d connections refused", n)
	}
}

// waitFor waits until cond holds.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for range 1000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the condition never held")
}

// openFiles counts the descriptors of the process, or -1.
func openFiles() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(names)
}

// TestNothingLeaks makes ten thousand connections that fail in every way of
// badStreams or break off at some byte, and compares what is left.
func TestNothingLeaks(t *testing.T) {
	s, m := twoExports(t)
	var streams [][]byte
	for _, p := range badStreams() {
		streams = append(streams, p)
	}
	r := rawClient{mode: wire.Structured}
	good := append([]byte{0, 0, 0, 3}, wire.AppendOption(nil, wire.OptStructuredReply, nil)...)
	q := wire.InfoRequest{Name: "disk"}
	good = append(good, wire.AppendOption(nil, wire.OptGo, q.Append(nil))...)
	read := wire.Request{Command: wire.CmdRead, Length: 200000}
	write := wire.Request{Command: wire.CmdWrite, Length: 100000}
	good = append(good, read.Append(nil, r.mode)...)
	good = append(good, write.Append(nil, r.mode)...)
	good = append(good, make([]byte, 50000)...)

	measure := func() (goroutines, files int, heap uint64) {
		runtime.GC()
		runtime.GC()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		return runtime.NumGoroutine(), openFiles(), ms.HeapAlloc
	}
	attack := func(count int) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := w; i < count; i += 4 {
					nc, err := dialUnix(s.path)
					if err != nil {
						t.Error(err)
						return
					}
					p := good[:(i*7919)%len(good)]
					if i%3 == 0 {
						p = streams[i%len(streams)]
					}
					nc.Write(p)
					if i%2 == 0 {
						nc.SetReadDeadline(time.Now().Add(time.Millisecond))
						nc.Read(make([]byte, 100))
					}
					nc.Close()
				}
			})
		}
		wg.Wait()
		waitFor(t, func() bool { return s.Stats().Conns == 0 })
	}
	attack(1000) // fills pools
	g0, f0, h0 := measure()
	attack(10000)
	waitFor(t, func() bool { return runtime.NumGoroutine() <= g0 })
	g1, f1, h1 := measure()
	if g1 > g0 || f1 > f0 {
		t.Errorf("goroutines %d to %d, files %d to %d", g0, g1, f0, f1)
	}
	if h1 > h0+8<<20 {
		t.Errorf("heap %d to %d", h0, h1)
	}
	if free := s.memory.free; free != s.memory.size {
		t.Errorf("%d bytes of the budget are lost", s.memory.size-free)
	}
	c := s.client(t)
	c.open("disk")
	c.checkRead(0, m.snapshot()[:4096])
	c.disconnect()
	if testing.Verbose() {
		fmt.Printf("goroutines %d, files %d, heap %d -> %d\n", g1, f1, h0, h1)
	}
}
