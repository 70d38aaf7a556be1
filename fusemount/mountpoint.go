package fusemount

import (
	"errors"
	"fmt"
)

// Mount errors that callers may want to tell apart.
var (
	// ErrBusy says that a mount is in use: a file in it is open, or somebody's
	// working directory is there.
	ErrBusy = errors.New("in use")
	// ErrNotMounted is matched by the errors that say that nothing of this package
	// is mounted there.
	ErrNotMounted = errors.New("not mounted")
	// ErrDead says that the program behind a mount has ended without unmounting.
	ErrDead = errors.New("the program behind the mount has ended")
)

// UnmountFlags say what Unmount does if a mount is in use.
type UnmountFlags uint8

const (
	// Lazy takes the mount out of the tree at once. It ends when nobody uses it any
	// more.
	Lazy UnmountFlags = 1 << iota
	// Force ends the connection to the program behind the mount first: whoever uses
	// the mount gets errors. Only root may do so.
	Force
)

// place wraps an error about a mount point.
func place(op, dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, dir, err)
}

// notMountedError says what is there instead. It matches [ErrNotMounted].
type notMountedError struct{ dir, text string }

func (e *notMountedError) Error() string        { return e.dir + ": " + e.text }
func (e *notMountedError) Is(target error) bool { return target == ErrNotMounted }
