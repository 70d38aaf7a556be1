package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

// console opens the device CON: what is written appears, and what is read is
// what a person types, or the lines of a script, up to a line of Ctrl-Z alone or
// the end.
func (s *Shell) console() vfs.File { return &consoleFile{shell: s} }

type consoleFile struct {
	shell *Shell
	rest  []byte // of the line that was read
	end   bool
}

func (f *consoleFile) refuse(op string) error {
	return &fs.PathError{Op: op, Path: "CON", Err: fs.ErrInvalid}
}

// A line of Ctrl-Z ends input, as in DOS. On a terminal it shows as it does there.
const (
	ctrlZ      = 0x1A
	endOfInput = "^Z"
)

func (f *consoleFile) Read(p []byte) (int, error) {
	if len(f.rest) == 0 && !f.end {
		line, err := f.line()
		switch {
		case errors.Is(err, context.Canceled):
			return 0, err
		case len(line) > 0 && line[0] == ctrlZ, f.shell.editor != nil && line == endOfInput, err != nil && line == "":
			f.end = true
		default:
			f.rest = []byte(line + "\n")
		}
	}
	if len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *consoleFile) line() (string, error) {
	if f.shell.editor != nil {
		return f.shell.editor.question("")
	}
	return f.shell.readLine()
}

func (f *consoleFile) Write(p []byte) (int, error)        { return f.shell.options.Out.Write(p) }
func (f *consoleFile) Stat() (fs.FileInfo, error)         { return volume.DeviceInfo("CON"), nil }
func (f *consoleFile) ReadAt([]byte, int64) (int, error)  { return 0, f.refuse("read") }
func (f *consoleFile) WriteAt([]byte, int64) (int, error) { return 0, f.refuse("write") }
func (f *consoleFile) Seek(int64, int) (int64, error)     { return 0, f.refuse("seek") }
func (f *consoleFile) Truncate(int64) error               { return nil }
func (f *consoleFile) Sync() error                        { return nil }
func (f *consoleFile) Close() error                       { return nil }
