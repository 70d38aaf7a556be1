package nbd

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/nbd/wire"
)

// faultOf turns an error of the device into what the client is told ("Error
// values"). The message keeps the host's paths to itself.
func faultOf(err error) *fault {
	var pe *fs.PathError
	text := err.Error()
	if errors.As(err, &pe) {
		text = pe.Op + ": " + pe.Err.Error()
	}
	return &fault{errnoOf(err), text}
}

func errnoOf(err error) wire.Errno {
	var e wire.Errno
	switch {
	case errors.As(err, &e):
		return e // a device that is itself a client
	case errors.Is(err, diskerr.ErrReadOnly):
		return wire.EPERM
	case errors.Is(err, diskerr.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return wire.ENOSPC
	case errors.Is(err, diskerr.ErrOutOfRange):
		return wire.EINVAL
	case errors.Is(err, syscall.ENOMEM):
		return wire.ENOMEM
	case errors.Is(err, fs.ErrClosed), errors.Is(err, os.ErrClosed):
		return wire.ESHUTDOWN
	case errors.Is(err, fs.ErrPermission):
		return wire.EPERM
	}
	return wire.EIO
}

// replyFault answers a request with an error from the reader.
func (c *conn) replyFault(r *wire.Request, f *fault) {
	c.exp.stats.errors.Add(1)
	c.log.Debug("request refused", "command", r.Command, "offset", r.Offset, "length", r.Length, "err", f.message)
	c.replyHere(c.appendFault(nil, r, f))
}

// appendFault appends the reply with an error.
func (c *conn) appendFault(dst []byte, r *wire.Request, f *fault) []byte {
	if c.mode == wire.Simple {
		return wire.AppendSimpleReply(dst, f.errno, r.Cookie)
	}
	return wire.AppendError(dst, c.mode, r, f.errno, f.message)
}

// appendSuccess appends the reply to a request that returns no data.
func (c *conn) appendSuccess(dst []byte, r *wire.Request) []byte {
	if c.mode == wire.Extended || c.mode == wire.Structured && r.Command == wire.CmdRead {
		return wire.AppendNone(dst, c.mode, r)
	}
	return wire.AppendSimpleReply(dst, 0, r.Cookie)
}

// replyHere puts a short reply in the batch. Only the reader calls it.
func (c *conn) replyHere(p []byte) {
	b, err := c.reserve(len(p))
	if err != nil {
		return // the connection is gone
	}
	c.commit(copy(b, p))
}

// replyShort sends a short reply to t from wherever t runs.
func (c *conn) replyShort(t *task, p []byte) {
	if t.inline {
		c.replyHere(p)
		return
	}
	b := getBuffer(len(p))
	c.out.push(piece{b: b.b[:copy(b.b, p)], buf: b})
}

// replyLong sends a reply of any length.
func (c *conn) replyLong(t *task, p []byte) {
	if t.inline && len(p) <= batchSize {
		c.replyHere(p)
		return
	}
	for len(p) > 0 {
		b := getBuffer(min(len(p), maxBuffer))
		n := copy(b.b, p)
		t.pieces = append(t.pieces, piece{b: b.b[:n], buf: b})
		p = p[n:]
	}
	c.out.pushAll(t.pieces)
}

// errOr returns err, or something to say where there is none.
func errOr(err error) error {
	if err == nil {
		return errors.New("no answer")
	}
	return err
}

// replyDone answers a request that returns no data.
func (c *conn) replyDone(t *task, err error) {
	var scratch [64]byte
	if err != nil {
		c.replyFailed(t, faultOf(err))
		return
	}
	c.replyShort(t, c.appendSuccess(scratch[:0], &t.req))
}

// replyFailed answers a request that the device failed.
func (c *conn) replyFailed(t *task, f *fault) {
	c.exp.stats.errors.Add(1)
	c.log.Warn("request failed", "export", c.exp.Name, "command", t.req.Command,
		"offset", t.req.Offset, "length", t.req.Length, "err", f.message)
	c.replyShort(t, c.appendFault(nil, &t.req, f))
}
