package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// transfer is what copy, xcopy and move share: where things go, and whether
// what is there may be replaced.
type transfer struct {
	*call
	all   bool // replace without asking
	files int64
	dirs  int64
	meter meter
}

func (c *call) newTransfer() *transfer {
	return &transfer{call: c, all: c.has("y"), meter: meter{call: c, what: c.name, begun: time.Now()}}
}

// origin is something that is copied or moved.
type origin struct{ path, name string }

// each calls do for each source with the path that it gets by the operand to.
func (t *transfer) each(sources []origin, to string, do func(to, from string) error) error {
	isDir, err := t.checkTarget(to, len(sources) > 1)
	if err != nil {
		return err
	}
	defer t.meter.pause()
	for _, i := range sources {
		t.meter.sources = append(t.meter.sources, i.path)
	}
	for _, i := range sources {
		if err := do(t.target(to, i.name, isDir), i.path); err != nil {
			return err
		}
	}
	return nil
}

// target returns where something called name goes, if to is the operand that
// says it: into a directory, or under another name.
func (t *transfer) target(to, name string, isDir bool) string {
	if dir, last := splitPath(to); isDir {
		return join(to, name)
	} else if strings.ContainsAny(last, "*?") {
		return dir + replaceWildcards(last, name)
	}
	return to
}

// endsInSlash reports whether a path says that it is a directory.
func endsInSlash(path string) bool {
	return strings.HasSuffix(path, `\`) || strings.HasSuffix(path, "/")
}

// checkTarget says whether to is a directory, which it must be for several
// sources.
func (t *transfer) checkTarget(to string, several bool) (isDir bool, err error) {
	isDir = t.isDir(to)
	_, last := splitPath(to)
	switch {
	case isDir:
	case endsInSlash(to):
		return false, &fs.PathError{Op: "stat", Path: to, Err: fs.ErrNotExist}
	case several && !strings.ContainsAny(last, "*?"):
		return false, fmt.Errorf("%s: several files go into a directory, and that is none", to)
	}
	return isDir, nil
}

// mayReplace asks before a file is replaced. An error ends the command.
func (t *transfer) mayReplace(path string) (bool, error) {
	if t.all {
		return true, nil
	}
	t.meter.pause()
	switch answer, err := t.ask("Overwrite "+path+"? (Yes/No/All):", "yna"); {
	case err != nil:
		return false, err
	case answer == 'a':
		t.all = true
		return true, nil
	default:
		return answer == 'y', nil
	}
}

// isDevice reports whether a path is a device, and no file.
func (t *transfer) isDevice(path string, flag int) bool {
	f, err := t.ns.OpenFile(path, flag, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	fi, err := f.Stat()
	return err == nil && fi.Mode()&fs.ModeDevice != 0
}

// copyTo copies a file, or a directory with all in it, to a path.
func (t *transfer) copyTo(to, from string) error {
	_, last := splitPath(to)
	_, source := splitPath(from)
	for _, name := range []string{last, source} {
		if deviceLike(name) && (t.isDevice(to, os.O_WRONLY) || t.isDevice(from, os.O_RDONLY)) {
			return t.stream(to, from)
		}
	}
	var stopped error
	o := vfs.CopyOptions{Preserve: true, Progress: t.meter.progress()}
	at := ""
	o.Started = func(_, name string, fi fs.FileInfo) {
		at = name
		if fi.IsDir() {
			t.dirs++
		}
	}
	o.Replace = func(name string, old, by fs.FileInfo) bool {
		if stopped != nil {
			return false
		}
		ok, err := t.mayReplace(show(at))
		stopped = err
		return ok && err == nil
	}
	if t.editor == nil || t.all {
		o.Replace = nil
	}
	done, err := t.ns.Copy(t.ctx, to, from, o)
	t.files += done.Files
	t.meter.add(done)
	if stopped != nil {
		return stopped
	}
	return t.incomplete(to, tidy(err, from))
}

// incomplete gives the error of a copy to a path the name that a person knows a
// file by which was left incomplete.
func (t *transfer) incomplete(to string, err error) error {
	partial := (*vfs.PartialError)(nil)
	if !errors.As(err, &partial) {
		return err
	}
	l, lerr := t.ns.Locate(to)
	if below, ok := strings.CutPrefix(partial.Name, l.Name()+"/"); lerr == nil && ok {
		to = join(to, below)
	}
	err = partial.Err
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		err = of.Err // which has the names within the volumes
	}
	return &vfs.PartialError{Name: to, Err: err}
}

// deviceLike is a quick look whether a name can be a device.
func deviceLike(name string) bool { return len(name) <= 8 && !strings.Contains(name, ".") }

// tidy takes the repetition out of the error of a copy.
func tidy(err error, from string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Op == "copy" && pe.Path == from {
		return fmt.Errorf("%s %w", from, pe.Err)
	}
	return err
}

// stream copies to or from a device.
func (t *transfer) stream(to, from string) error {
	in, err := t.ns.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = t.ns.Lstat(to)
	fresh := errors.Is(err, fs.ErrNotExist) && !t.isDevice(to, os.O_WRONLY)
	out, err := t.ns.Create(to)
	if err != nil {
		return err
	}
	err = copyBytes(t.ctx, out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	switch {
	case err == nil:
		t.files++
	case fresh:
		err = errors.Join(err, t.ns.Remove(to))
	case !t.isDevice(to, os.O_WRONLY):
		err = &vfs.PartialError{Name: to, Err: err}
	}
	return err
}
