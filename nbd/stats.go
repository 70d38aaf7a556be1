package nbd

import (
	"sync/atomic"

	"github.com/fatkit/fatkit/nbd/wire"
)

// Stats are counters of a server since it was made.
type Stats struct {
	Conns      int    // connections now, those still negotiating included
	TotalConns uint64 // connections ever
	Refused    uint64 // connections over the limit
	Failed     uint64 // connections that ended in their negotiation or by a violation of the protocol
	Exports    []ExportStats
}

// ExportStats are counters of an export since it was added.
type ExportStats struct {
	Name         string
	Conns        int // attached now
	TotalConns   uint64
	Requests     map[string]uint64 // by command
	Errors       uint64            // requests answered with an error
	ReadBytes    uint64            // sent to clients
	WrittenBytes uint64            // received from clients
}

type serverStats struct {
	conns                  atomic.Int64
	total, refused, failed atomic.Uint64
}

type exportStats struct {
	conns           atomic.Int64
	total, errors   atomic.Uint64
	read, written   atomic.Uint64
	requests        [wire.NumCommands]atomic.Uint64
	unknownRequests atomic.Uint64
}

// count counts a request.
func (s *exportStats) count(c wire.Command) {
	if int(c) < len(s.requests) {
		s.requests[c].Add(1)
		return
	}
	s.unknownRequests.Add(1)
}

// Stats returns the counters of the server and of its exports.
func (s *Server) Stats() Stats {
	st := Stats{
		Conns:      int(s.stats.conns.Load()),
		TotalConns: s.stats.total.Load(),
		Refused:    s.stats.refused.Load(),
		Failed:     s.stats.failed.Load(),
	}
	for _, e := range s.list() {
		x := ExportStats{
			Name:         e.Name,
			Conns:        int(e.stats.conns.Load()),
			TotalConns:   e.stats.total.Load(),
			Errors:       e.stats.errors.Load(),
			ReadBytes:    e.stats.read.Load(),
			WrittenBytes: e.stats.written.Load(),
			Requests:     make(map[string]uint64, wire.NumCommands),
		}
		for i := range e.stats.requests {
			x.Requests[wire.Command(i).String()] = e.stats.requests[i].Load()
		}
		if n := e.stats.unknownRequests.Load(); n > 0 {
			x.Requests["unknown"] = n
		}
		st.Exports = append(st.Exports, x)
	}
	return st
}
