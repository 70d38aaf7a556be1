package nbd

import (
	"fmt"

	"github.com/fatkit/fatkit/nbd/wire"
)

// fault is the reason why a request is answered with an error.
type fault struct {
	errno   wire.Errno
	message string // for people
}

// faultf returns a fault with a formatted message.
func faultf(e wire.Errno, format string, args ...any) *fault {
	return &fault{e, fmt.Sprintf(format, args...)}
}

// allowedFlags are the flags of each command ("Command flags"). FUA is valid
// everywhere, since the server offers it.
var allowedFlags = [wire.NumCommands]wire.CommandFlags{
	wire.CmdRead:        wire.FlagFUA | wire.FlagDF,
	wire.CmdWrite:       wire.FlagFUA,
	wire.CmdFlush:       wire.FlagFUA,
	wire.CmdTrim:        wire.FlagFUA,
	wire.CmdCache:       wire.FlagFUA,
	wire.CmdWriteZeroes: wire.FlagFUA | wire.FlagNoHole | wire.FlagFastZero,
	wire.CmdBlockStatus: wire.FlagFUA | wire.FlagReqOne,
}

// check returns why r cannot be carried out, or nil ("Request types", "Error
// values").
func (c *conn) check(r *wire.Request) *fault {
	if int(r.Command) >= wire.NumCommands {
		return faultf(wire.EINVAL, "unknown command %d", uint16(r.Command))
	}
	allowed := allowedFlags[r.Command]
	if c.mode == wire.Simple {
		allowed &^= wire.FlagDF
	}
	if c.mode == wire.Extended && (r.Command == wire.CmdWrite || r.Command == wire.CmdBlockStatus && len(c.contexts) > 0) {
		allowed |= wire.FlagPayloadLen
	}
	if bad := r.Flags &^ allowed; bad != 0 {
		return faultf(wire.EINVAL, "%v: flags %#x are unknown or not allowed", r.Command, uint16(bad))
	}
	switch r.Command {
	case wire.CmdFlush:
		if r.Offset != 0 || r.Length != 0 {
			return faultf(wire.EINVAL, "flush: offset and length must be 0")
		}
		return nil
	case wire.CmdWrite, wire.CmdTrim, wire.CmdWriteZeroes:
		if c.flags&wire.ReadOnly != 0 {
			return faultf(wire.EPERM, "%v: the export is read-only", r.Command)
		}
	}
	if f := c.checkCommand(r); f != nil {
		return f
	}
	return c.checkRange(r)
}

// checkCommand checks what is particular to the command.
func (c *conn) checkCommand(r *wire.Request) *fault {
	switch r.Command {
	case wire.CmdRead, wire.CmdCache:
		if r.Length > wire.MaxPayload {
			return faultf(wire.EINVAL, "%v: more than %d bytes", r.Command, wire.MaxPayload)
		}
	case wire.CmdWrite:
		if c.mode == wire.Extended && r.Flags&wire.FlagPayloadLen == 0 {
			return faultf(wire.EINVAL, "write: extended headers need NBD_CMD_FLAG_PAYLOAD_LEN")
		}
	case wire.CmdTrim:
		if c.flags&wire.SendTrim == 0 {
			return faultf(wire.EINVAL, "trim: not offered by this export")
		}
	case wire.CmdWriteZeroes:
		if r.Flags&wire.FlagFastZero != 0 && c.flags&wire.SendFastZero == 0 {
			return faultf(wire.EINVAL, "write-zeroes: NBD_CMD_FLAG_FAST_ZERO is not offered by this export")
		}
	case wire.CmdBlockStatus:
		switch {
		case len(c.contexts) == 0:
			return faultf(wire.EINVAL, "block-status: no metadata context was negotiated")
		case r.Length == 0:
			return faultf(wire.EINVAL, "block-status: length is 0")
		}
	}
	return nil
}

// checkRange checks that the request lies within the export. The error of a
// write past the end is ENOSPC, of anything else EINVAL ("Error values").
func (c *conn) checkRange(r *wire.Request) *fault {
	if r.Offset > c.size || r.Length > c.size-r.Offset {
		e := wire.EINVAL
		if r.Command == wire.CmdWrite || r.Command == wire.CmdWriteZeroes {
			e = wire.ENOSPC
		}
		return faultf(e, "%v: %d bytes at %d reach past the end at %d", r.Command, r.Length, r.Offset, c.size)
	}
	if c.minBlock > 1 && (r.Offset|r.Length)&(c.minBlock-1) != 0 {
		return faultf(wire.EINVAL, "%v: %d bytes at %d are not whole blocks of %d bytes", r.Command, r.Length, r.Offset, c.minBlock)
	}
	return nil
}
