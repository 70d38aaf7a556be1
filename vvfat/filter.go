package vvfat

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// Reasons why a scan cannot go on.
var (
	errNotDir         = errors.New("not a directory")
	errTooDeep        = fmt.Errorf("more than %d directories within each other; --exclude leaves some out", maxDepth)
	errTooManyLinked  = fmt.Errorf("symbolic links lead to more than %d files; --exclude leaves some out", maxLinked)
	errTooManyDevices = fmt.Errorf("more than %d file systems are mounted in it; --exclude leaves some out", maxDevices)
	errTooManyNodes   = fmt.Errorf("more than %d files", maxNodes)
	errNameTooLong    = fmt.Errorf("name is longer than %d bytes", maxNameBytes)
)

// scanError names the file that stops a scan by its place on the host.
func scanError(src source, path string, err error) error {
	return &fs.PathError{Op: "scan", Path: filepath.Join(src.name(), filepath.FromSlash(path)), Err: err}
}

// filter decides which entries of a directory become nodes. It is used by all
// workers at once and has no state.
type filter struct {
	src     source
	exclude *excluder
	o       ScanOptions
}

// read lists the directory of j and decides about each of its entries.
func (f *filter) read(j *job) {
	j.order, j.warns, j.err = j.order[:0], nil, nil
	clear(j.links)
	if err := f.src.list(j.path, &j.list); err != nil {
		j.list.Reset()
		f.unlisted(j, err)
		return
	}
	if j.list.Vanished > 0 {
		j.warns = append(j.warns, Warning{WarnVanished, j.show,
			fmt.Sprintf("%d entries were removed while this directory was read", j.list.Vanished)})
	}
	for i := range j.list.Entries {
		e := &j.list.Entries[i]
		keep, err := f.entry(j, int32(i), e)
		if err != nil {
			j.err = scanError(f.src, joinPath(j.show, j.list.NameOf(e)), err)
			return
		}
		if keep {
			j.order = append(j.order, int32(i))
		}
	}
	slices.SortFunc(j.order, func(a, b int32) int {
		return bytes.Compare(j.list.NameOf(&j.list.Entries[a]), j.list.NameOf(&j.list.Entries[b]))
	})
	slices.SortFunc(j.warns, func(a, b Warning) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
}

// unlisted handles a directory that cannot be read. It is in the tree already,
// so what remains of it is an empty directory.
func (f *filter) unlisted(j *job, err error) {
	switch {
	case j.id == RootID:
		j.err = err
	case gone(err):
		j.warns = []Warning{{WarnVanished, j.show, "shown empty: removed or replaced during the scan"}}
	case f.o.Unreadable == Skip:
		j.warns = []Warning{{WarnUnreadable, j.show, "shown empty: " + reason(err)}}
	default:
		j.err = scanError(f.src, j.show, fmt.Errorf("%w; --unreadable skip leaves it out", bare(err)))
	}
}

// entry decides about one entry, and fills in e for a link that is followed.
func (f *filter) entry(j *job, i int32, e *hostfs.Entry) (keep bool, err error) {
	name := j.list.NameOf(e)
	if j.id == RootID && string(name) == AsideName && e.Mode.IsDir() {
		return false, nil
	}
	if f.exclude.match(j.show, name, e.Mode.IsDir()) {
		return false, nil
	}
	skip := func(kind WarningKind, text string) (bool, error) {
		j.warns = append(j.warns, Warning{kind, joinPath(j.show, name), "skipped: " + text})
		return false, nil
	}
	isLink := e.Mode&fs.ModeSymlink != 0 && e.Err == nil
	if isLink {
		if keep, err := f.follow(j, i, e, skip); !keep || err != nil {
			return keep, err
		}
		if e.Mode.IsDir() && f.exclude.match(j.show, name, true) {
			return false, nil
		}
	}
	switch {
	case e.Err != nil || e.Denied:
		cause := e.Err
		if cause == nil {
			cause = fs.ErrPermission
		}
		if f.o.Unreadable == Skip {
			return skip(WarnUnreadable, reason(cause))
		}
		return false, fmt.Errorf("%w; --unreadable skip leaves it out", bare(cause))
	case e.Mode.IsDir():
	case !e.Mode.IsRegular():
		return skip(WarnSpecial, special(e.Mode))
	case e.Size > maxFileBytes:
		size := diskerr.FormatBytes(e.Size)
		if f.o.TooLarge == Skip {
			return skip(WarnTooLarge, size+", and FAT holds files up to 4 GiB - 1")
		}
		return false, fmt.Errorf("file has %s, and FAT holds files up to 4 GiB - 1; --too-large skip leaves it out", size)
	}
	return true, nil
}

// follow replaces the description of a link by that of the object it leads to.
func (f *filter) follow(j *job, i int32, e *hostfs.Entry, skip func(WarningKind, string) (bool, error)) (bool, error) {
	path := joinPath(j.path, j.list.NameOf(e))
	real, err := f.src.resolve(path)
	var st hostfs.Stat
	if err == nil {
		st, err = f.src.stat(real)
	}
	switch {
	case err == nil:
	case errors.Is(err, hostfs.ErrOutside):
		if f.o.Symlinks == Skip {
			return skip(WarnOutside, "this symbolic link leads outside of the directory")
		}
		return false, fmt.Errorf("symbolic link %w; --symlinks skip leaves it out", hostfs.ErrOutside)
	case errors.Is(err, fs.ErrNotExist):
		return skip(WarnDangling, "this symbolic link leads nowhere")
	case errors.Is(err, fs.ErrPermission):
		e.Denied = true
	default:
		return skip(WarnLoop, "this symbolic link cannot be followed: "+reason(err))
	}
	if st.Mode.IsRegular() {
		// The target's own directory was not asked whether it may be read.
		c, _, err := f.src.open(real)
		if err != nil {
			e.Denied = true
		} else {
			c.Close()
		}
	}
	e.Stat = st
	if j.links == nil {
		j.links = map[int32]string{}
	}
	j.links[i] = real
	return true, nil
}

// special names what is neither file, directory nor link.
func special(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a regular file"
}

// bare strips the path of an error that is about to get a better one.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func reason(err error) string { return bare(err).Error() }
