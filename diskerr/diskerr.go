// Package diskerr holds the errors that every disk and file system format of
// fatkit shares, and the findings that their checkers report.
//
// It separates what a caller must tell apart: a damaged format
// ([FormatError], [ErrCorrupt]), a valid feature that this code does not
// handle ([FeatureError]), an image that needs a repair first ([ErrDirty]), a
// mistake of the caller ([ErrReadOnly], [ErrOutOfRange], fs.ErrClosed), a full
// medium ([NoSpaceError]) and a file that two sides changed ([ConflictError]).
// Errors about a path in a tree are *fs.PathError around the sentinels of
// io/fs or around one of these.
//
// The package does no I/O and depends on the standard library alone.
package diskerr

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Sentinels. Test for them with [errors.Is].
var (
	// ErrCorrupt is matched by every [FormatError].
	ErrCorrupt = errors.New("corrupt")
	// ErrDirty says that the image must be checked or repaired before it can
	// be used in the way that was asked for.
	ErrDirty = errors.New("not cleanly closed; check and repair it first")
	// ErrReadOnly is returned for a change to something opened read-only.
	// It matches fs.ErrPermission.
	ErrReadOnly error = &sentinel{"read-only", fs.ErrPermission}
	// ErrOutOfRange is returned for an offset or a length beyond the end of a
	// device, or negative. It matches fs.ErrInvalid.
	ErrOutOfRange error = &sentinel{"out of range", fs.ErrInvalid}
	// ErrNoSpace is matched by every [NoSpaceError].
	ErrNoSpace = errors.New("no space left")
	// ErrChanged says that a host file is no longer the one that the disk was
	// made from, so its bytes cannot be served.
	ErrChanged = errors.New("host file changed since it was scanned")
)

// sentinel is an error value that also matches a broader one.
type sentinel struct {
	text string
	is   error
}

func (s *sentinel) Error() string { return s.text }
func (s *sentinel) Unwrap() error { return s.is }

// FormatError says that bytes on a medium break the rules of their format.
// It matches [ErrCorrupt].
type FormatError struct {
	Format    string // the format, such as "FAT32", "MBR", "qcow2"
	Structure string // the structure, such as "boot sector", "L2 table 7"
	Field     string // the field, in the words of the specification; may be empty
	Offset    int64  // byte offset of the field within the medium or structure; -1 if unknown
	Value     any    // the offending value; nil if there is none to show
	Reason    string // which rule it breaks, and what is expected
}

func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString(e.Format)
	if e.Structure != "" {
		b.WriteString(": " + e.Structure)
	}
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	if e.Value != nil {
		fmt.Fprintf(&b, " is %v", e.Value)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " (at offset %d)", e.Offset)
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	return b.String()
}

// Is reports whether target is [ErrCorrupt].
func (e *FormatError) Is(target error) bool { return target == ErrCorrupt }

// FeatureError says that a medium is valid but uses features that are not
// handled. It matches [errors.ErrUnsupported].
type FeatureError struct {
	Format string   // the format, such as "qcow2"
	Names  []string // the features, in the words of the specification
}

func (e *FeatureError) Error() string {
	return e.Format + ": unsupported: " + strings.Join(e.Names, ", ")
}

// Is reports whether target is [errors.ErrUnsupported].
func (e *FeatureError) Is(target error) bool { return target == errors.ErrUnsupported }

// NoSpaceError says that something does not fit. It matches [ErrNoSpace].
type NoSpaceError struct {
	What      string // what is full, such as "root directory", "disk"
	Needed    int64  // bytes; -1 if unknown
	Available int64  // bytes; -1 if unknown
	Hint      string // what to do about it; may be empty
}

func (e *NoSpaceError) Error() string {
	var b strings.Builder
	b.WriteString(e.What + ": no space left")
	if e.Needed >= 0 && e.Available >= 0 {
		fmt.Fprintf(&b, ": needs %s, has %s", FormatBytes(e.Needed), FormatBytes(e.Available))
	}
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}

// Is reports whether target is [ErrNoSpace].
func (e *NoSpaceError) Is(target error) bool { return target == ErrNoSpace }

// ConflictError says that the guest and the host both changed one path.
type ConflictError struct {
	Path  string // slash-separated, relative to the root of the tree
	Guest string // what the guest did
	Host  string // what the host did
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: conflict: guest %s, host %s", e.Path, e.Guest, e.Host)
}

// FormatBytes writes a number of bytes for people, in binary units with at
// most one decimal: 0 B, 512 B, 1.5 KiB, 504 MiB.
func FormatBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 && n > -1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for ; (f >= 1023.95 || f <= -1023.95) && i < len(units)-1; i++ {
		f /= 1024
	}
	s := strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
	return s + " " + units[i:i+1] + "iB"
}
