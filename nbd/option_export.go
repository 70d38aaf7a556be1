package nbd

import (
	"fmt"

	"github.com/fatkit/fatkit/nbd/wire"
)

// enter attaches the client to x as the last step before transmission.
func (c *conn) enter(x *export) error {
	if c.ctxOf != x {
		c.contexts = nil // they were selected for another export
	}
	if err := x.attach(c); err != nil {
		return err
	}
	i := c.exportInfo(x)
	c.exp, c.dev, c.size, c.flags = x, x.Device, i.Size, i.Flags
	c.minBlock = uint64(x.blockSizes().Minimum)
	return nil
}

// leave undoes enter when the client could not be told.
func (c *conn) leave(cause error) error {
	c.exp.detach(c, false, cause)
	return cause
}

// optExportName answers NBD_OPT_EXPORT_NAME. It cannot report an error but by
// ending the session.
func (c *conn) optExportName(name string) error {
	if err := wire.CheckString("export name", name); err != nil {
		return fmt.Errorf("%w: %w", errViolation, err)
	}
	if c.mode == wire.Extended {
		return fmt.Errorf("%w: NBD_OPT_EXPORT_NAME with extended headers", errViolation)
	}
	x := c.srv.lookup(name)
	if x == nil {
		return fmt.Errorf("nbd: no export %q", name)
	}
	if err := c.enter(x); err != nil {
		return err
	}
	p := c.exportInfo(x).Append(nil)
	if !c.noZeroes {
		p = append(p, make([]byte, wire.ExportZeroesLen)...)
	}
	if err := c.send(p); err != nil {
		return c.leave(err)
	}
	return errGo
}

// exportInfo returns size and flags of x as this client sees them.
func (c *conn) exportInfo(x *export) wire.ExportInfo {
	contexts := 0
	if c.ctxOf == x {
		contexts = len(c.contexts)
	}
	return wire.ExportInfo{Size: uint64(x.Device.Size()), Flags: x.flags(c.mode, contexts)}
}

// optGo answers NBD_OPT_INFO and NBD_OPT_GO.
func (c *conn) optGo(o wire.Option, data []byte) error {
	q, err := wire.DecodeInfoRequest(data)
	if err != nil {
		return c.refuse(o, wire.RepErrInvalid, err.Error())
	}
	x := c.srv.lookup(q.Name)
	if x == nil {
		return c.refuse(o, wire.RepErrUnknown, fmt.Sprintf("no export %q", q.Name))
	}
	if o == wire.OptGo {
		if err := c.enter(x); err != nil {
			return c.refuse(o, wire.RepErrPolicy, err.Error())
		}
	}
	info := func(dst, data []byte) []byte { return wire.AppendOptionReply(dst, o, wire.RepInfo, data) }
	p := info(nil, c.exportInfo(x).AppendInfo(nil))
	// Block sizes are sent unasked too: a client that understands them gains,
	// and one that does not ignores them ("NBD_OPT_INFO").
	p = info(p, x.blockSizes().AppendInfo(nil))
	for _, i := range q.Infos {
		switch i {
		case wire.InfoName:
			p = info(p, wire.AppendTextInfo(nil, i, x.Name))
		case wire.InfoDescription:
			if x.Description != "" {
				p = info(p, wire.AppendTextInfo(nil, i, x.Description))
			}
		}
	}
	if err := c.send(wire.AppendOptionReply(p, o, wire.RepAck, nil)); err != nil {
		if o == wire.OptGo {
			return c.leave(err)
		}
		return err
	}
	if o == wire.OptGo {
		return errGo
	}
	return nil
}

// optList answers NBD_OPT_LIST.
func (c *conn) optList(data []byte) error {
	if len(data) > 0 {
		return c.refuse(wire.OptList, wire.RepErrInvalid, "the option takes no data")
	}
	var p []byte
	for _, x := range c.srv.list() {
		p = wire.AppendOptionReply(p, wire.OptList, wire.RepServer, wire.AppendServer(nil, x.Name, x.Description))
	}
	return c.send(wire.AppendOptionReply(p, wire.OptList, wire.RepAck, nil))
}
