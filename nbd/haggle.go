package nbd

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/nbd/wire"
)

// haggling is the client's side of a negotiation.
type haggling struct {
	*session
	d     *Dialer
	t     *target
	ctx   context.Context
	fixed bool
}

// begin exchanges flags and negotiates TLS and the mode.
func (h *haggling) begin() error {
	p, err := h.in.peek(wire.GreetingLen)
	if err != nil {
		return err
	}
	flags, err := wire.DecodeGreeting(p)
	if err != nil {
		return err
	}
	h.in.discard(wire.GreetingLen)
	h.fixed = flags&wire.FlagFixedNewstyle != 0
	mine := uint32(flags) & (wire.FlagFixedNewstyle | wire.FlagNoZeroes)
	if _, err := h.nc.Write(binary.BigEndian.AppendUint32(nil, mine)); err != nil {
		return err
	}
	h.noZeroes = mine&wire.FlagNoZeroes != 0
	if !h.fixed {
		if h.t.tls {
			return errors.New("the server is too old for TLS")
		}
		return nil
	}
	if h.t.tls {
		if err := h.startTLS(); err != nil {
			return err
		}
	}
	return h.chooseMode()
}

// startTLS upgrades the connection, or fails ("Client-side requirements").
func (h *haggling) startTLS() error {
	if err := h.option(wire.OptStartTLS, nil, nil); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	if h.in.buffered() > 0 {
		return errors.New("TLS: the server sent bytes before the handshake")
	}
	c, err := h.t.tlsConfig(h.d.TLS)
	if err != nil {
		return err
	}
	t := tls.Client(h.nc, c)
	if err := t.HandshakeContext(h.ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	h.nc = t
	h.in = input{r: t}
	return nil
}

// chooseMode asks for the newest format of replies that the server has.
func (h *haggling) chooseMode() error {
	if h.d.OldProtocol < 1 {
		err := h.option(wire.OptExtendedHeaders, nil, nil)
		if err == nil {
			h.mode = wire.Extended
			return nil
		}
		if !refused(err) || refused(err, wire.RepErrTLSRequired) {
			return err
		}
	}
	if h.d.OldProtocol < 2 {
		err := h.option(wire.OptStructuredReply, nil, nil)
		if err == nil {
			h.mode = wire.Structured
			return nil
		}
		if !refused(err) || refused(err, wire.RepErrTLSRequired) {
			return err
		}
	}
	return nil
}

// enter chooses an export and begins transmission.
func (h *haggling) enter(export string) error {
	if !h.fixed {
		return h.exportName(export)
	}
	if h.mode >= wire.Structured {
		if err := h.selectAllocation(export); err != nil {
			return err
		}
	}
	q := wire.InfoRequest{Name: export, Infos: []wire.Info{wire.InfoBlockSize, wire.InfoDescription}}
	known := false
	err := h.option(wire.OptGo, q.Append(nil), func(r wire.OptionReply, p []byte) error {
		kind, p, err := wire.DecodeInfo(p)
		if err != nil || r != wire.RepInfo {
			return err
		}
		switch kind {
		case wire.InfoExport:
			h.info, err = wire.DecodeExportInfo(p)
			known = true
		case wire.InfoBlockSize:
			h.sizes, err = wire.DecodeBlockSizes(p)
		case wire.InfoDescription:
			h.text = string(p)
			err = wire.CheckString("description", h.text)
		}
		return err
	})
	switch {
	case refused(err, wire.RepErrUnsupported) && h.mode != wire.Extended:
		return h.exportName(export)
	case err != nil:
		return err
	case !known:
		return errors.New("the server does not tell the size of the export")
	}
	return nil
}

// selectAllocation selects base:allocation if the server has it.
func (h *haggling) selectAllocation(export string) error {
	q := wire.MetaRequest{Name: export, Queries: []string{wire.ContextAllocation}}
	err := h.option(wire.OptSetMetaContext, q.Append(nil), func(r wire.OptionReply, p []byte) error {
		id, name, err := wire.DecodeMetaContext(p)
		if err == nil && r == wire.RepMetaContext && name == wire.ContextAllocation {
			h.allocation, h.contextID = true, id
		}
		return err
	})
	if refused(err) {
		h.allocation = false
		return nil // it goes without, or GO tells the reason
	}
	return err
}

// exportName enters transmission in the old way, which tells no reason for a
// refusal ("NBD_OPT_EXPORT_NAME").
func (h *haggling) exportName(export string) error {
	if _, err := h.nc.Write(wire.AppendOption(nil, wire.OptExportName, []byte(export))); err != nil {
		return err
	}
	n := wire.ExportReplyLen
	if !h.noZeroes {
		n += wire.ExportZeroesLen
	}
	p, err := h.in.peek(n)
	if err != nil {
		return fmt.Errorf("the server refuses the export: %w", err)
	}
	h.info, err = wire.DecodeExportInfo(p[:wire.ExportReplyLen])
	h.in.discard(n)
	return err
}

// option sends an option, hands each reply before the last to f, and returns
// an error for a refusal. f may be nil where there are no replies but the last.
func (h *haggling) option(o wire.Option, data []byte, f func(wire.OptionReply, []byte) error) error {
	if _, err := h.nc.Write(wire.AppendOption(nil, o, data)); err != nil {
		return err
	}
	for range maxReplies {
		p, err := h.in.peek(wire.OptionReplyLen)
		if err != nil {
			return err
		}
		r, n, err := wire.DecodeOptionReply(p, o)
		if err != nil {
			return err
		}
		h.in.discard(wire.OptionReplyLen)
		if n > maxReplyBytes {
			return fmt.Errorf("%v is answered with %d bytes", o, n)
		}
		reply := make([]byte, n)
		if err := h.in.readFull(reply); err != nil {
			return err
		}
		switch {
		case r == wire.RepAck:
			return nil
		case r.IsError():
			return &optionError{o, r, string(reply[:min(len(reply), wire.MaxString)])}
		case f == nil:
			return fmt.Errorf("%v is answered with %v", o, r)
		}
		if err := f(r, reply); err != nil {
			return err
		}
	}
	return fmt.Errorf("%v is answered with more than %d replies", o, maxReplies)
}
