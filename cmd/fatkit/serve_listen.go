package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/nbd"
)

// maxSocketPath is the longest path of a socket that Linux takes, in bytes.
const maxSocketPath = 107

// openListeners gives the server its control socket and the listeners that the
// flags or the service manager ask for, or one in the runtime folder. name is
// what the folder is called. cleanup removes the folder.
func (f *serveFlags) openListeners(s *server.Server, name string, log *slog.Logger) (cleanup func(), err error) {
	dir, err := server.NewRuntimeDir(name)
	if err != nil {
		log.Warn("`fatkit status` will not find this server", "error", err)
		if dir, err = server.TempRuntimeDir(); err != nil {
			return nil, err
		}
	}
	remove := func() {
		if err := dir.Remove(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the runtime folder was not removed", "error", err)
		}
	}
	if err := f.listenAll(s, dir); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// listenAll opens the control socket and the listeners.
func (f *serveFlags) listenAll(s *server.Server, dir *server.RuntimeDir) error {
	if err := s.ListenControl(dir.ControlSocket()); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	passed, err := nbd.PassedListeners()
	if err != nil {
		return err
	}
	for _, l := range passed {
		s.AddListener(l)
	}
	switch {
	case len(passed) > 0 && (f.stdio || len(f.listen) > 0):
		return usageError("the service manager passed sockets: --stdio and --listen cannot go with them")
	case f.stdio || len(passed) > 0:
		return nil
	}
	addrs := f.listen
	if len(addrs) == 0 {
		addrs = []string{"unix:" + dir.NBDSocket()}
	}
	for _, addr := range addrs {
		l, err := f.listenAt(addr)
		if err != nil {
			return err
		}
		s.AddListener(l)
	}
	return nil
}

// listenAt opens the listener for a value of --listen.
func (f *serveFlags) listenAt(addr string) (net.Listener, error) {
	kind, rest, _ := strings.Cut(addr, ":")
	switch {
	case kind == "unix" && rest != "":
		// Clients have other working folders.
		path, err := filepath.Abs(rest)
		if err != nil {
			return nil, err
		}
		if len(path) > maxSocketPath {
			return nil, fmt.Errorf("--listen %s: the path has %d bytes, a socket's at most %d", addr, len(path), maxSocketPath)
		}
		addr = "unix:" + path
	case kind != "tcp":
		return nil, usageError("--listen %s: write unix:PATH or tcp:HOST:PORT", addr)
	}
	l, err := nbd.Listen(addr, f.insecure || f.tls.required())
	if errors.Is(err, nbd.ErrNotLoopback) {
		return nil, fmt.Errorf("--listen %s: %w: take localhost, or --tls require, or accept that with --insecure", addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", addr, err)
	}
	return l, nil
}

// serveStdio serves the client at standard input and output.
func serveStdio(ctx, force context.Context, s *server.Server) error {
	ignoreBrokenPipe()
	conn, err := nbd.StdioConn(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	return s.ServeConn(ctx, force, conn)
}
