package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Limits of the names in the runtime folder.
const (
	// maxSocketPath is the longest path of a Unix socket, in bytes: macOS has
	// 104 with the terminator, Linux 108.
	maxSocketPath = 103
	// maxFolderName is the part of a source's name that its folder shows.
	maxFolderName = 24
)

// Names within a server's folder.
const (
	nbdSocketName     = "nbd.sock"
	controlSocketName = "control.sock"
)

// runtimeDir returns the folder below which the user's servers put theirs,
// without making it.
func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fatkit")
	}
	return fallbackRuntimeDir()
}

// RuntimeDir is the folder of one running server. It is private to the user.
type RuntimeDir struct {
	Path string
}

// NewRuntimeDir makes the folder for a server of this process. Its name shows
// name, for people who look.
func NewRuntimeDir(name string) (*RuntimeDir, error) {
	base := runtimeDir()
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, err
	}
	if err := checkPrivate(base); err != nil {
		return nil, err
	}
	removeStale(base)
	path, err := os.MkdirTemp(base, fmt.Sprintf("%s-%d-*", folderName(name), os.Getpid()))
	if err != nil {
		return nil, err
	}
	if longest := filepath.Join(path, controlSocketName); len(longest) > maxSocketPath {
		os.Remove(path)
		return nil, fmt.Errorf("%s: too long for a socket (at most %d bytes): set XDG_RUNTIME_DIR to a shorter folder", longest, maxSocketPath)
	}
	return &RuntimeDir{path}, nil
}

// TempRuntimeDir makes a folder for a server whose user has no runtime folder
// that could be used. [Find] does not look there.
func TempRuntimeDir() (*RuntimeDir, error) {
	path, err := os.MkdirTemp("", "fatkit-*")
	if err != nil {
		return nil, err
	}
	return &RuntimeDir{path}, nil
}

// NBDSocket returns the path of the server's default NBD socket.
func (d *RuntimeDir) NBDSocket() string { return filepath.Join(d.Path, nbdSocketName) }

// ControlSocket returns the path of the server's control socket.
func (d *RuntimeDir) ControlSocket() string { return filepath.Join(d.Path, controlSocketName) }

// Remove removes the folder and the sockets in it.
func (d *RuntimeDir) Remove() error {
	os.Remove(d.NBDSocket())
	os.Remove(d.ControlSocket())
	return os.Remove(d.Path)
}

// folderName turns a name into one that is short and plain.
func folderName(name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		case r < 0x80:
			return '_'
		default:
			return -1
		}
	}, name)
	plain = strings.Trim(plain, "_")
	if len(plain) > maxFolderName {
		plain = plain[:maxFolderName]
	}
	if plain == "" {
		return "disk"
	}
	return plain
}
