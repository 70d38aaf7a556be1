//go:build !linux

package hostfs

import (
	"errors"
	"fmt"
	"runtime"
)

var _ Writable = (*Root)(nil)

// errNoWriting says why a tree cannot be changed here.
var errNoWriting = fmt.Errorf("writing back to a directory is not possible on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// OpenDir implements [Writable].
func (r *Root) OpenDir(string) (Dir, error) { return nil, errNoWriting }

// SyncFS implements [Writable].
func (r *Root) SyncFS() error { return errNoWriting }

// Usage implements [Writable].
func (r *Root) Usage() (Usage, error) { return Usage{}, errNoWriting }
