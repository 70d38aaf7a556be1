package volume

import (
	"errors"
	"io/fs"
	"strings"
)

// Sentinels. Test for them with [errors.Is].
var (
	// ErrNoDrive says that nothing is mounted at a letter or mount point. It
	// matches fs.ErrNotExist.
	ErrNoDrive error = &sentinel{"no such drive", fs.ErrNotExist}
	// ErrInUse says that something is mounted there, or registered by that
	// name, already. It matches fs.ErrExist.
	ErrInUse error = &sentinel{"already in use", fs.ErrExist}
	// ErrBusy says that a volume or driver is being used: files are open, a copy
	// runs, or it is being mounted or checked.
	ErrBusy = errors.New("busy")
	// ErrPathTooLong is about paths of more than [MaxPathBytes]. It matches
	// fs.ErrInvalid.
	ErrPathTooLong error = &sentinel{"path too long", fs.ErrInvalid}
	// ErrDeviceName refuses to create a file with the name of a DOS device. It
	// matches fs.ErrInvalid.
	ErrDeviceName error = &sentinel{"the name of a DOS device", fs.ErrInvalid}
)

// sentinel is an error value that also matches a broader one.
type sentinel struct {
	text string
	is   error
}

func (s *sentinel) Error() string { return s.text }
func (s *sentinel) Unwrap() error { return s.is }

// busyError says what keeps a volume busy. It matches [ErrBusy].
type busyError struct{ why string }

func (e *busyError) Error() string        { return "busy: " + e.why }
func (e *busyError) Is(target error) bool { return target == ErrBusy }

// NoDriverError says that no driver takes a medium, and what each saw. It
// matches errors.ErrUnsupported.
type NoDriverError struct {
	Saw []string // "DRIVER: what it saw"
}

func (e *NoDriverError) Error() string {
	if len(e.Saw) == 0 {
		return "no driver for this medium"
	}
	return "no driver for this medium: " + strings.Join(e.Saw, "; ")
}

// Is reports whether target is [errors.ErrUnsupported].
func (e *NoDriverError) Is(target error) bool { return target == errors.ErrUnsupported }

// pathError wraps an error of an operation on a path. An error that is about a
// path already gets this one, which is the caller's.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := err.(*fs.PathError); ok {
		return &fs.PathError{Op: pe.Op, Path: name, Err: pe.Err}
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
