//go:build !linux

package statedir

import (
	"errors"
	"fmt"
	"os"
)

// lockFile refuses: what is needed to write to a tree is there on Linux alone.
func lockFile(path string, dir bool) (*os.File, error) {
	return nil, fmt.Errorf("%s: writing to a directory on this system: %w", path, errors.ErrUnsupported)
}
