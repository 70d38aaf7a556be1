package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// Limits of a negotiation.
const (
	maxOptions     = 256      // options of one negotiation
	maxOptionBytes = 32 << 10 // data of an option that is understood
	maxSkipBytes   = 1 << 20  // data of an option that is passed over
)

// errGo ends the negotiation with success.
var errGo = errors.New("go")

// errViolation says that the client broke the protocol in a way that allows
// no reply.
var errViolation = errors.New("nbd: protocol violation")

// negotiate leads the handshake up to the choice of an export. When it
// returns nil the client is attached to c.exp.
func (c *conn) negotiate() error {
	if err := c.nc.SetDeadline(time.Now().Add(c.srv.opts.HandshakeTimeout)); err != nil {
		c.log.Debug("the connection takes no deadline", "err", err)
	}
	if c.draining.Load() {
		return errDrained
	}
	fixed, err := c.greet()
	if err != nil {
		return err
	}
	for range maxOptions {
		err := c.option(fixed)
		if err == errGo {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d options", errViolation, maxOptions)
}

// greet opens the negotiation ("Newstyle negotiation").
func (c *conn) greet() (fixed bool, err error) {
	g := wire.AppendGreeting(nil, wire.FlagFixedNewstyle|wire.FlagNoZeroes)
	if _, err := c.nc.Write(g); err != nil {
		return false, c.readFailed(err)
	}
	p, err := c.in.peek(wire.ClientFlagsLen)
	if err != nil {
		if err == io.EOF {
			return false, errGaveUp // a port check
		}
		return false, c.readFailed(err)
	}
	flags := binary.BigEndian.Uint32(p)
	c.in.discard(wire.ClientFlagsLen)
	if flags&^(wire.FlagFixedNewstyle|wire.FlagNoZeroes) != 0 {
		return false, fmt.Errorf("%w: unknown client flags %#x", errViolation, flags)
	}
	c.noZeroes = flags&wire.FlagNoZeroes != 0
	return flags&wire.FlagFixedNewstyle != 0, nil
}

// option reads one option and answers it. It returns errGo when the
// transmission phase begins.
func (c *conn) option(fixed bool) error {
	p, err := c.in.peek(wire.OptionLen)
	if err != nil {
		if err == io.EOF {
			return errGaveUp
		}
		return c.readFailed(err)
	}
	o, n, err := wire.DecodeOption(p)
	if err != nil {
		return fmt.Errorf("%w: %w", errViolation, err)
	}
	c.in.discard(wire.OptionLen)
	if !fixed && o != wire.OptExportName {
		return fmt.Errorf("%w: %v without fixed newstyle", errViolation, o)
	}
	if n > maxOptionBytes {
		return c.optionTooBig(o, n)
	}
	data := make([]byte, n)
	if err := c.in.readFull(data); err != nil {
		return c.readFailed(err)
	}
	if c.draining.Load() && o != wire.OptAbort {
		if o == wire.OptExportName {
			return errDrained
		}
		return c.refuse(o, wire.RepErrShutdown, "the server is shutting down")
	}
	if c.srv.opts.TLSMode == TLSRequire && c.tls == nil {
		switch o {
		case wire.OptStartTLS, wire.OptAbort:
		case wire.OptExportName:
			return fmt.Errorf("%w: %v before TLS", errViolation, o)
		default:
			return c.refuse(o, wire.RepErrTLSRequired, "this server requires TLS")
		}
	}
	return c.answer(o, data)
}

// answer executes an option that is allowed now.
func (c *conn) answer(o wire.Option, data []byte) error {
	switch o {
	case wire.OptExportName:
		return c.optExportName(string(data))
	case wire.OptAbort:
		c.reply(o, wire.RepAck, nil) // the client may be gone already
		return errGaveUp
	case wire.OptList:
		return c.optList(data)
	case wire.OptStartTLS:
		return c.optStartTLS(data)
	case wire.OptInfo, wire.OptGo:
		return c.optGo(o, data)
	case wire.OptStructuredReply:
		return c.optStructuredReply(data)
	case wire.OptListMetaContext, wire.OptSetMetaContext:
		return c.optMetaContext(o, data)
	case wire.OptExtendedHeaders:
		return c.optExtendedHeaders(data)
	}
	return c.refuse(o, wire.RepErrUnsupported, "")
}

// optionTooBig passes over the data of an option that is longer than any that
// is understood.
func (c *conn) optionTooBig(o wire.Option, n uint32) error {
	if n > maxSkipBytes || o == wire.OptExportName {
		return fmt.Errorf("%w: %v with %d bytes of data", errViolation, o, n)
	}
	if err := c.in.skip(int64(n)); err != nil {
		return c.readFailed(err)
	}
	return c.refuse(o, wire.RepErrTooBig, "the option is too long")
}

// reply sends a reply to an option.
func (c *conn) reply(o wire.Option, r wire.OptionReply, data []byte) error {
	return c.send(wire.AppendOptionReply(nil, o, r, data))
}

// refuse sends an error reply with a message for people.
func (c *conn) refuse(o wire.Option, r wire.OptionReply, message string) error {
	c.log.Debug("option refused", "option", o, "reply", r, "reason", message)
	return c.reply(o, r, []byte(message))
}

// send writes p during the negotiation.
func (c *conn) send(p []byte) error {
	w := io.Writer(c.nc)
	if c.tls != nil {
		w = c.tls
	}
	if _, err := w.Write(p); err != nil {
		return c.readFailed(err)
	}
	return nil
}
