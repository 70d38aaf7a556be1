package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// maxWorkers is how many requests of one connection may be in the device at
// the same time.
const maxWorkers = 32

// conn is one connection of a server.
type conn struct {
	srv  *Server
	id   uint64
	nc   net.Conn // of the network
	tls  *tls.Conn
	sink *tlsSink // under tls
	in   input
	out  output
	mem  account
	log  *slog.Logger
	done chan struct{} // closed when the connection has ended

	// What the negotiation has agreed on. After it only read.
	noZeroes bool
	mode     wire.Mode
	contexts []MetaContext // selected; a context's id is its index
	ctxOf    *export       // what contexts were selected for
	exp      *export
	dev      block.Device
	size     uint64 // bytes of the export
	minBlock uint64 // bytes
	flags    wire.TransmissionFlags

	// The reader's.
	req        wire.Request
	batch      *buffer // replies that are not yet in the queue, or nil
	batchLen   int     // bytes
	batchCount int     // replies
	batchMem   hold
	lone       int // see continues
	deep       int // see alone
	workers    int
	tasks      chan *task
	running    sync.WaitGroup // of workers
	pending    atomic.Int32   // tasks handed over and not done
	gates      [numGates]gate

	draining atomic.Bool
	closing  chan struct{} // closed by abort
	aborted  atomic.Bool
}

// Reasons for the end of a connection.
var (
	errDisconnect = errors.New("disconnected")               // by NBD_CMD_DISC
	errGaveUp     = errors.New("gave up")                    // by NBD_OPT_ABORT or leaving before an export
	errDrained    = errors.New("drained")                    // by Shutdown or RemoveExport
	errBroken     = errors.New("nbd: connection lost")       // without NBD_CMD_DISC
	errAborted    = errors.New("nbd: connection was broken") // by the server
)

func newConn(s *Server, id uint64, nc net.Conn) *conn {
	c := &conn{
		srv: s, id: id, nc: newSocket(nc),
		log:     s.log.With("conn", id),
		done:    make(chan struct{}),
		tasks:   make(chan *task),
		closing: make(chan struct{}),
	}
	c.in.r = c.nc
	for i := range c.gates {
		c.gates[i].score.Store(gateStart)
	}
	c.mem = account{parent: s.memory, wake: make(chan struct{}, 1), cancel: c.closing}
	return c
}

// run serves the connection and returns nil if it ended in order.
func (c *conn) run() error {
	defer close(c.done)
	defer c.srv.forget(c)
	defer c.nc.Close()
	err := c.negotiate()
	if err == nil {
		err = c.transmit()
	} else if !isOrderly(err) {
		c.srv.stats.failed.Add(1)
	}
	if isOrderly(err) {
		c.log.Debug("connection ended", "reason", err)
		return nil
	}
	c.log.Info("connection ended", "remote", c.nc.RemoteAddr(), "err", err)
	return err
}

// isOrderly reports whether a connection that ended with err ended as the
// protocol foresees.
func isOrderly(err error) bool {
	return errors.Is(err, errDisconnect) || errors.Is(err, errGaveUp) || errors.Is(err, errDrained)
}

// transmit serves the transmission phase. The caller has attached the export.
func (c *conn) transmit() error {
	c.nc.SetWriteDeadline(time.Time{})
	c.limitRead(0)
	if r := newRawReader(c.nc, c.onlyOne); r != nil && c.tls == nil {
		c.in.r = r
	}
	c.out.start(c)
	cause := c.serveRequests()
	c.flushBatch()
	close(c.tasks)
	c.running.Wait()
	if err := c.out.finish(); err != nil && !isOrderly(cause) {
		cause = errors.Join(cause, err)
	}
	c.closeGently(cause)
	c.exp.detach(c, errors.Is(cause, errDisconnect), causeOf(cause))
	return cause
}

// onlyOne reports whether the reader of c is all that runs in the server, and
// may occupy a processor.
func (c *conn) onlyOne() bool {
	return c.srv.processors > 1 && c.srv.stats.conns.Load() == 1 && c.pending.Load() == 0
}

// causeOf is nil for an orderly end.
func causeOf(err error) error {
	if isOrderly(err) {
		return nil
	}
	return err
}

// closeGently ends the connection so that the client gets what was sent: a
// TCP connection that is closed with bytes unread resets, and the reset can
// overtake the replies.
func (c *conn) closeGently(cause error) {
	if c.tls != nil && !c.aborted.Load() {
		c.sink.keep(false)
		c.nc.SetWriteDeadline(time.Now().Add(time.Second))
		c.tls.CloseWrite()
	}
	if errors.Is(cause, errDrained) {
		c.linger()
	}
	c.nc.Close()
}

// linger tells the client that nothing more comes and takes what it still
// sends, for a moment.
func (c *conn) linger() {
	const patience = 500 * time.Millisecond
	w, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil || c.nc.SetReadDeadline(time.Now().Add(patience)) != nil {
		return
	}
	io.CopyN(io.Discard, c.nc, 1<<20)
}

// drain makes the connection finish what it has in flight and end.
func (c *conn) drain() {
	c.draining.Store(true)
	c.interrupt()
}

// interrupt ends a read that is waiting for the client.
func (c *conn) interrupt() {
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// abort breaks the connection.
func (c *conn) abort() {
	if c.aborted.CompareAndSwap(false, true) {
		close(c.closing)
		c.nc.Close()
	}
}

// readFailed turns an error of reading from the client into the reason for
// the end of the connection.
func (c *conn) readFailed(err error) error {
	switch {
	case c.aborted.Load():
		return errAborted
	case c.draining.Load() && errors.Is(err, os.ErrDeadlineExceeded):
		return errDrained
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errBroken
	}
	return errors.Join(errBroken, err)
}

// info describes the connection as a client of e. The caller holds e.hook.
func (c *conn) info(e *export) ConnInfo {
	return ConnInfo{
		ID: c.id, Export: e.Name, Remote: c.nc.RemoteAddr(), TLS: c.tls != nil,
		Remaining: len(e.conns),
	}
}

// handshakeTLS upgrades the connection ("TLS support").
func (c *conn) handshakeTLS() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.opts.HandshakeTimeout)
	defer cancel()
	c.sink = &tlsSink{Conn: c.nc}
	t := tls.Server(c.sink, c.srv.opts.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.tls = t
	c.in = input{r: t}
	return nil
}
