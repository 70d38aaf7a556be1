// Package product builds the fatkit program and runs it for the tests that
// judge it from outside: interoperability, guests and benchmarks.
//
// The environment variable FATKIT names a program to take instead of building
// one, to judge a release.
package product

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startPatience ends the wait for a server that neither serves nor ends.
const startPatience = 3 * time.Minute

// Build builds fatkit into dir and returns its path.
func Build(dir string) (string, error) {
	if bin := os.Getenv("FATKIT"); bin != "" {
		return filepath.Abs(bin)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "fatkit")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/fatkit")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return bin, nil
}

// moduleRoot returns the folder with go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// Server is a running server, of fatkit or of a peer, on a unix socket.
type Server struct {
	Socket string
	URI    string
	PID    int

	cmd   *exec.Cmd
	log   *Log
	ended chan struct{}
	err   error // valid after ended
}

// StartServer starts a server and returns when it greets on socket: a server
// may bind its socket before it can serve. extraEnv adds to the environment.
func StartServer(socket string, extraEnv []string, name string, args ...string) (*Server, error) {
	s := &Server{
		Socket: socket, URI: "nbd+unix:///?socket=" + socket,
		cmd: exec.Command(name, args...), log: &Log{}, ended: make(chan struct{}),
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), extraEnv...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.PID = s.cmd.Process.Pid
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	deadline := time.Now().Add(startPatience)
	for {
		if greets(socket, deadline) {
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s ended before it served: %v\n%s", s.cmd, s.err, s.log)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%s does not serve\n%s", s.cmd, s.log), s.Stop())
		}
	}
}

// greets tells whether an NBD server answers on a socket: it sends NBDMAGIC
// first (NBD protocol, "Newstyle negotiation").
func greets(socket string, deadline time.Time) bool {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	magic := make([]byte, 8)
	if err := conn.SetDeadline(deadline); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, magic)
	return err == nil && string(magic) == "NBDMAGIC"
}

// Log returns what the server has printed.
func (s *Server) Log() string { return s.log.String() }

// Stop ends the server as a user would and returns the error it ended with.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	case <-time.After(startPatience):
		return errors.Join(fmt.Errorf("%s did not stop\n%s", s.cmd, s.log), s.cmd.Process.Kill())
	}
}

// Kill ends the server as a crash does and returns when it is gone.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	<-s.ended
	return nil
}
