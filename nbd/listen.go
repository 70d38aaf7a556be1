package nbd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultPort is the port that IANA assigned to NBD (doc/uri.md).
const DefaultPort = "10809"

// ErrInUse is returned by Listen for a unix socket that a live server
// answers on.
var ErrInUse = errors.New("a server is listening there already")

// ErrNotLoopback is returned by Listen for a TCP address that other machines
// can reach.
var ErrNotLoopback = errors.New("other machines could connect to this address, without encryption or authentication")

// Listen listens on an address: "unix:PATH" or "tcp:HOST:PORT".
//
// A unix socket is created with mode 0600 and removed when the listener is
// closed. A socket that a server left behind when it died is replaced; one that a
// live server answers on is ErrInUse; anything else at the path is an error.
//
// TCP is refused beyond loopback addresses unless remote is set, since
// whoever can connect can read, and without TLS so can whoever listens. HOST
// may be empty for loopback, PORT for 10809; port 0 chooses one.
func Listen(addr string, remote bool) (net.Listener, error) {
	kind, rest, ok := strings.Cut(addr, ":")
	switch {
	case ok && kind == "unix" && rest != "":
		return listenUnix(rest)
	case ok && kind == "tcp":
		return listenTCP(rest, remote)
	}
	return nil, fmt.Errorf("listen address %q is neither unix:PATH nor tcp:HOST:PORT", addr)
}

func listenTCP(hostPort string, remote bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil && !strings.Contains(hostPort, ":") {
		host, port, err = hostPort, "", nil
	}
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = DefaultPort
	}
	a, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	if !a.IP.IsLoopback() && !remote {
		return nil, fmt.Errorf("%s: %w", a.IP, ErrNotLoopback)
	}
	return net.ListenTCP("tcp", a)
}

// unixListener removes its socket when it is closed, if it is still its own.
type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

// Addr returns the path that clients use; the socket was bound under another.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *unixListener) Close() error {
	if i, err := os.Lstat(l.path); err == nil && os.SameFile(i, l.info) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// listenUnix listens on a socket at path.
func listenUnix(path string) (net.Listener, error) {
	unlock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := bindUnix(path)
	if err != nil {
		return nil, err
	}
	i, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &unixListener{l, path, i}, nil
}

// maxUnixPath is how long the path of a socket may be everywhere, in bytes.
const maxUnixPath = 103

// bindUnix binds a temporary name in the same folder, closes it to others,
// and moves it into place, so that a client never finds a socket that is open
// to everyone or does not listen yet. Where the temporary name would be too
// long for a socket it binds path itself; the umask protects it until its mode is set.
func bindUnix(path string) (*net.UnixListener, error) {
	tmp, err := os.MkdirTemp(filepath.Dir(path), ".nbd")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	name := filepath.Join(tmp, "s")
	if len(name) > maxUnixPath {
		name = path
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(name, 0o600)
	if err == nil && name != path {
		err = os.Rename(name, path)
	}
	if err != nil {
		l.Close()
		os.Remove(name)
		return nil, err
	}
	return l, nil
}

// removeStale makes way for a new socket at path.
func removeStale(path string) error {
	i, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if i.Mode()&fs.ModeSocket == 0 {
		return &fs.PathError{Op: "listen", Path: path, Err: errors.New("exists and is not a socket")}
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return &fs.PathError{Op: "listen", Path: path, Err: ErrInUse}
	}
	if !isRefused(err) {
		return &fs.PathError{Op: "listen", Path: path, Err: ErrInUse} // it is there, and too busy to answer
	}
	return os.Remove(path)
}

// URI returns the URI of an export of a server that listens on a, for a
// client on the same machine ("The NBD Uniform Resource Indicator (URI) format").
func URI(a net.Addr, export string, tls bool) string {
	scheme := "nbd"
	if tls {
		scheme = "nbds"
	}
	u := url.URL{Scheme: scheme, Path: "/" + export}
	if a.Network() == "unix" {
		u.Scheme += "+unix"
		u.RawQuery = "socket=" + strings.ReplaceAll(url.QueryEscape(a.String()), "%2F", "/")
		u.OmitHost = false
		return u.Scheme + "://" + u.EscapedPath() + "?" + strings.ReplaceAll(u.RawQuery, "+", "%20")
	}
	u.Host = a.String()
	return u.String()
}
