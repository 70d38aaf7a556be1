//go:build !linux

package fusemount

import (
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/vfs"
)

// errLinux is the answer everywhere else.
var errLinux = fmt.Errorf("mounting needs FUSE on Linux: %w", errors.ErrUnsupported)

// Server is a mount.
type Server struct{}

// Mount needs Linux.
func Mount(string, vfs.FS, Options) (*Server, error) { return nil, errLinux }

// MountDevice needs Linux.
func MountDevice(string, block.Device, string, Options) (*Server, error) { return nil, errLinux }

// Dir returns where the mount is.
func (*Server) Dir() string { return "" }

// Wait returns at once.
func (*Server) Wait() {}

// Unmount needs Linux.
func (*Server) Unmount(UnmountFlags) error { return errLinux }

// Unmount needs Linux.
func Unmount(string, UnmountFlags) error { return errLinux }

// Sync needs Linux.
func Sync(string) error { return errLinux }

// Owner needs Linux.
func Owner(string) (int, error) { return 0, errLinux }

// Find needs Linux.
func Find(string) (string, error) { return "", errLinux }
