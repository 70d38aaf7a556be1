//go:build !linux

package file

import (
	"errors"
	"os"

	"github.com/fatkit/fatkit/block"
)

// system is a host of which nothing beyond plain files is used.
type system struct{}

func (s *system) init(f *os.File, sizeBytes int64, readOnly bool) block.Limits {
	return block.Limits{ReadOnly: readOnly, PreferredBlock: 4096}
}

func (s *system) readCached(f *os.File, p []byte, off int64) (int, error) {
	return 0, block.ErrWouldBlock
}

func (s *system) canWriteDurable() bool { return false }

func (s *system) writeDurable(f *os.File, p []byte, off int64) (int, error) {
	return 0, errors.ErrUnsupported
}

// dataSync uses what os.File makes durable by: F_FULLFSYNC on macOS,
// FlushFileBuffers on Windows.
func (s *system) dataSync(f *os.File) error { return f.Sync() }

func (s *system) startWriting(f *os.File) {}

func (s *system) zero(f *os.File, off, n int64, mayPunch bool) error {
	return errors.ErrUnsupported
}

func (s *system) punch(f *os.File, off, n int64) error { return errors.ErrUnsupported }

func (s *system) extent(f *os.File, off int64) (hole bool, next int64, err error) {
	return false, 0, errors.ErrUnsupported
}

func (s *system) copyRange(dst *os.File, off int64, src *os.File, srcOff, n int64) error {
	return errors.ErrUnsupported
}
