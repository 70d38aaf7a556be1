package nbd

import (
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/nbd/wire"
)

// maxQueries is the number of queries of one request for contexts.
const maxQueries = 128

// optMetaContext answers NBD_OPT_LIST_META_CONTEXT and
// NBD_OPT_SET_META_CONTEXT.
func (c *conn) optMetaContext(o wire.Option, data []byte) error {
	set := o == wire.OptSetMetaContext
	if set {
		c.contexts, c.ctxOf = nil, nil // also when the option fails
	}
	if c.mode == wire.Simple {
		return c.refuse(o, wire.RepErrInvalid, "negotiate structured replies first")
	}
	q, err := wire.DecodeMetaRequest(data)
	if err != nil {
		return c.refuse(o, wire.RepErrInvalid, err.Error())
	}
	if len(q.Queries) > maxQueries {
		return c.refuse(o, wire.RepErrTooBig, fmt.Sprintf("more than %d queries", maxQueries))
	}
	for _, s := range q.Queries {
		if !strings.Contains(s, ":") {
			return c.refuse(o, wire.RepErrInvalid, fmt.Sprintf("query %q has no namespace", s))
		}
	}
	x := c.srv.lookup(q.Name)
	if x == nil {
		return c.refuse(o, wire.RepErrUnknown, fmt.Sprintf("no export %q", q.Name))
	}
	var p []byte
	var chosen []MetaContext
	for _, m := range x.contexts {
		if !selects(q.Queries, m.Name, set) {
			continue
		}
		id := 0 // reserved in a list
		if set {
			id = len(chosen)
		}
		chosen = append(chosen, m)
		p = wire.AppendOptionReply(p, o, wire.RepMetaContext, wire.AppendMetaContext(nil, uint32(id), m.Name))
	}
	if set {
		c.contexts, c.ctxOf = chosen, x
	}
	return c.send(wire.AppendOptionReply(p, o, wire.RepAck, nil))
}

// selects reports whether the queries name a context. Only a list may ask for
// a whole namespace, or for everything by asking nothing ("Metadata querying").
func selects(queries []string, name string, set bool) bool {
	if len(queries) == 0 {
		return !set
	}
	namespace := name[:strings.Index(name, ":")+1]
	for _, q := range queries {
		if q == name || !set && q == namespace {
			return true
		}
	}
	return false
}
