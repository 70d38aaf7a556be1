package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Limits of the control socket.
const (
	maxRequestBytes = 64 << 10         // of one request line
	maxReplyBytes   = 16 << 20         // of one reply line
	maxControlConns = 16               // at a time; more wait in the kernel's queue
	controlIdle     = 30 * time.Second // a connection without a request is closed
)

// Command is what a request asks for.
type Command string

// The commands.
const (
	CommandStatus  Command = "status"
	CommandRefresh Command = "refresh"

	// Those of a directory that takes writes.
	CommandSync    Command = "sync"
	CommandConfirm Command = "confirm"
	CommandDiscard Command = "discard"
	CommandTrash   Command = "trash-list"
	CommandRestore Command = "trash-restore"
	CommandEmpty   Command = "trash-empty"
)

// Request is one line to the control socket.
type Request struct {
	Command Command `json:"command"`
	Export  *string `json:"export,omitempty"`  // the export of this name only
	Source  string  `json:"source,omitempty"`  // exports of this source only
	Force   bool    `json:"force,omitempty"`   // refresh: also while a client is attached
	Archive bool    `json:"archive,omitempty"` // refresh: archive what has not arrived
	Path    string  `json:"path,omitempty"`    // discard: all if empty; trash-restore: or the name in the trash
}

// means reports whether r is about an export.
func (r *Request) means(e *export) bool {
	return (r.Export == nil || e.name == *r.Export) && (r.Source == "" || e.source.Path() == r.Source)
}

// Reply answers a Request. Error is empty if all went well; what was done
// before an error is there beside it.
type Reply struct {
	Error   string          `json:"error,omitempty"`
	Status  *Status         `json:"status,omitempty"`
	Refresh []RefreshResult `json:"refresh,omitempty"`
	Steered []Steered       `json:"steered,omitempty"`
}

// control answers requests on a control socket.
type control struct {
	handle func(context.Context, Request) Reply

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// listenControl makes the control socket at path, for the user alone.
func listenControl(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// serve answers requests from l until l is closed, then ends the connections
// and waits for them.
func (c *control) serve(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxControlConns)
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			<-slots
			time.Sleep(10 * time.Millisecond) // out of descriptors, for a while
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			c.converse(ctx, conn)
		}()
	}
	c.hangUp()
	wg.Wait()
}

// track remembers conn until it ends, unless the server is closing.
func (c *control) track(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.conns == nil {
		c.conns = map[net.Conn]struct{}{}
	}
	c.conns[conn] = struct{}{}
	return true
}

func (c *control) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.conns {
		conn.Close()
	}
}

// converse answers the requests of one connection.
func (c *control) converse(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	if !c.track(conn) {
		return
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.conns, conn)
	}()
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, 4096), maxRequestBytes)
	for {
		conn.SetReadDeadline(time.Now().Add(controlIdle))
		if !lines.Scan() {
			return
		}
		var reply Reply
		var req Request
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			reply.Error = "the request is not understood: " + err.Error()
		} else {
			reply = c.handle(ctx, req)
		}
		conn.SetWriteDeadline(time.Now().Add(controlIdle))
		if json.NewEncoder(conn).Encode(reply) != nil {
			return
		}
	}
}

// Ask sends a request to the control socket at path and returns the reply. An
// error that the reply carries is returned as such, beside the reply.
func Ask(ctx context.Context, path string, req Request) (*Reply, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return nil, err
	}
	var reply Reply
	if err := json.NewDecoder(io.LimitReader(conn, maxReplyBytes)).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: no answer from the server: %w", path, err)
	}
	if reply.Error != "" {
		return &reply, errors.New(reply.Error)
	}
	return &reply, nil
}
