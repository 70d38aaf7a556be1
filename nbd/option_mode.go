package nbd

import (
	"fmt"

	"github.com/fatkit/fatkit/nbd/wire"
)

// optStartTLS answers NBD_OPT_STARTTLS and upgrades the connection.
func (c *conn) optStartTLS(data []byte) error {
	const o = wire.OptStartTLS
	switch {
	case len(data) > 0:
		return c.refuse(o, wire.RepErrInvalid, "the option takes no data")
	case c.tls != nil:
		return c.refuse(o, wire.RepErrInvalid, "TLS is in use already")
	case c.srv.opts.TLSMode == TLSOff || c.srv.opts.TLS == nil:
		return c.refuse(o, wire.RepErrPolicy, "this server offers no TLS")
	}
	// Bytes that are here before the reply was sent were not protected and
	// must not be taken for a part of the protected session (CVE-2021-3716).
	if c.in.buffered() > 0 {
		return fmt.Errorf("%w: data after NBD_OPT_STARTTLS", errViolation)
	}
	if err := c.reply(o, wire.RepAck, nil); err != nil {
		return err
	}
	if err := c.handshakeTLS(); err != nil {
		return fmt.Errorf("nbd: TLS: %w", err)
	}
	// The server must forget what was negotiated before ("NBD_OPT_STARTTLS").
	c.mode, c.contexts, c.ctxOf = wire.Simple, nil, nil
	return nil
}

// optStructuredReply answers NBD_OPT_STRUCTURED_REPLY.
func (c *conn) optStructuredReply(data []byte) error {
	const o = wire.OptStructuredReply
	switch {
	case len(data) > 0:
		return c.refuse(o, wire.RepErrInvalid, "the option takes no data")
	case c.mode == wire.Extended:
		return c.refuse(o, wire.RepErrExtHeaderReqd, "extended headers are in use")
	}
	c.mode = wire.Structured
	return c.reply(o, wire.RepAck, nil)
}

// optExtendedHeaders answers NBD_OPT_EXTENDED_HEADERS.
func (c *conn) optExtendedHeaders(data []byte) error {
	const o = wire.OptExtendedHeaders
	if len(data) > 0 {
		return c.refuse(o, wire.RepErrInvalid, "the option takes no data")
	}
	c.mode = wire.Extended
	return c.reply(o, wire.RepAck, nil)
}
