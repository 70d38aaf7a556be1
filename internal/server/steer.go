package server

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/fatkit/fatkit/stack"
)

// Steered says what became of a request about a directory that takes writes.
type Steered struct {
	Export string             `json:"export"`
	Source string             `json:"source"`
	Status *stack.WriteStatus `json:"status,omitempty"` // afterwards
	Error  string             `json:"error,omitempty"`

	Discarded    []stack.Discarded `json:"discarded,omitempty"`
	Trash        []stack.Trashed   `json:"trash,omitempty"`
	Restored     string            `json:"restored,omitempty"` // where it is now
	RemovedFiles int               `json:"removed_files,omitempty"`
	RemovedBytes int64             `json:"removed_bytes,omitempty"`
}

// steer carries a request out for each export that it is about.
func (s *Server) steer(ctx context.Context, r Request) Reply {
	s.mu.Lock()
	exports := append([]*export(nil), s.exports...)
	s.mu.Unlock()
	var reply Reply
	var errs []error
	readOnly := ""
	for _, e := range exports {
		if !r.means(e) {
			continue
		}
		w, ok := e.source.(stack.Writing)
		if !ok {
			readOnly = e.source.Path()
			continue
		}
		result := Steered{Export: e.name, Source: w.Path()}
		err := result.carryOut(ctx, w, r)
		status := w.WriteStatus()
		if result.Status = &status; err != nil {
			result.Error = err.Error()
			errs = append(errs, fmt.Errorf("%s: %w", w.Path(), err))
		}
		reply.Steered = append(reply.Steered, result)
	}
	switch {
	case len(reply.Steered) > 0:
	case readOnly != "":
		errs = append(errs, fmt.Errorf("%s: nothing is written back to it: it is not served with --rw, or with --overlay", readOnly))
	default:
		errs = append(errs, errors.New("no export of the server is meant"))
	}
	if err := errors.Join(errs...); err != nil {
		reply.Error = err.Error()
	}
	return reply
}

// carryOut does what r asks of one directory.
func (s *Steered) carryOut(ctx context.Context, w stack.Writing, r Request) (err error) {
	switch r.Command {
	case CommandSync:
		return w.Sync(ctx)
	case CommandConfirm:
		return w.Confirm(ctx)
	case CommandDiscard:
		s.Discarded, err = w.Discard(ctx, r.Path)
	case CommandTrash:
		s.Trash, err = w.Trash()
	case CommandRestore:
		s.Restored, err = w.Restore(r.Path)
	case CommandEmpty:
		s.RemovedFiles, s.RemovedBytes, err = w.EmptyTrash()
	}
	return err
}

// admit refuses a client that a directory which takes writes must not have.
func (e *export) admit(remote net.Addr) error {
	if w, ok := e.source.(stack.Writing); ok {
		return w.Admit(remote.Network() != "tcp")
	}
	return nil
}
