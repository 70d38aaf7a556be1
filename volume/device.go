package volume

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// device opens the device that name stands for, if it is one.
func (n *Namespace) device(name string, flag int) (vfs.File, bool) {
	if !n.options.DeviceNames || name == "" || !endsDevice[name[len(name)-1]] {
		return nil, false // as a rule
	}
	last := name[strings.LastIndexAny(name, `/\`)+1:]
	if _, rest := cutLetter(last); rest != "" { // "c:nul", not "nul:"
		last = rest
	}
	d := deviceName(last)
	if d == "" || len(last) > len(d) && last[len(d)] == '.' {
		return nil, false // "nul.txt" can be a file of another system; it is not created
	}
	if open := n.options.Devices[d]; open != nil {
		return open(), true
	}
	return null{}, d == "NUL" && flag&os.O_EXCL == 0
}

// null is the device that swallows what is written and has nothing to read.
type null struct{}

var _ vfs.File = null{}

func (null) Read([]byte) (int, error)               { return 0, io.EOF }
func (null) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (null) Write(p []byte) (int, error)            { return len(p), nil }
func (null) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (null) Seek(off int64, _ int) (int64, error)   { return off, nil }
func (null) Truncate(int64) error                   { return nil }
func (null) Sync() error                            { return nil }
func (null) Close() error                           { return nil }
func (null) Stat() (fs.FileInfo, error)             { return DeviceInfo("NUL"), nil }

// DeviceInfo describes a device by its name.
type DeviceInfo string

// Name returns the name of the device.
func (i DeviceInfo) Name() string { return string(i) }

// Size is 0.
func (DeviceInfo) Size() int64 { return 0 }

// Mode says that it is a device of characters.
func (DeviceInfo) Mode() fs.FileMode { return fs.ModeDevice | fs.ModeCharDevice | 0o666 }

// ModTime is the zero time.
func (DeviceInfo) ModTime() time.Time { return time.Time{} }

// IsDir is false.
func (DeviceInfo) IsDir() bool { return false }

// Sys is nil.
func (DeviceInfo) Sys() any { return nil }
