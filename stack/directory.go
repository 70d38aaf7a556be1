package stack

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/fatkit/fatkit/vvfat"
)

// Directory is a directory of the host, shown as a FAT disk. Its fields are
// not changed once it is in use.
type Directory struct {
	Dir    string // absolute
	Scan   vvfat.ScanOptions
	Layout vvfat.Options
	Disk   vvfat.DiskOptions
}

var _ Source = (*Directory)(nil)

// errNotDirectory says that a source is something else.
var errNotDirectory = errors.New("not a directory")

// NewDirectory returns the directory at path, which must exist.
func NewDirectory(path string) (*Directory, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(abs)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	if !fi.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNotDirectory}
	}
	d := &Directory{Dir: abs}
	d.Layout.Name = d.BaseName()
	return d, nil
}

// Path returns the absolute path of the directory.
func (d *Directory) Path() string { return d.Dir }

// BaseName returns the last element of the path; the root of a file system is
// called "root".
func (d *Directory) BaseName() string {
	name := filepath.Base(d.Dir)
	if name == string(filepath.Separator) || name == "." {
		return "root"
	}
	return name
}

// largeTree is the number of files from which on the memory that a scan used
// for a while is worth giving back to the system at once.
const largeTree = 10_000

// Generate scans the directory and lays its disk out.
func (d *Directory) Generate(ctx context.Context, prev *Generation, report func(Event)) (*Generation, error) {
	began := time.Now()
	warnings := 0
	warn := func(w vvfat.Warning) {
		warnings++
		report(Event{Note, w.Path, w.Text})
	}
	scan := d.Scan
	scan.Warn = warn
	tree, err := vvfat.ScanDir(ctx, d.Dir, scan)
	if err != nil {
		return nil, err
	}
	options := d.Layout
	options.Warn = warn
	if prev != nil {
		keep := prev.layout.Identity()
		options.Keep = &keep
	}
	layout, err := vvfat.NewLayout(tree, options)
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	if prev != nil && layout.Equal(prev.layout) {
		return prev, tree.Close()
	}
	if tree.Files() > largeTree {
		go debug.FreeOSMemory()
	}
	return &Generation{
		Device: d.newDisk(layout, report),
		Facts: Facts{
			Info: layout.Info(), ESP: d.Layout.ESP, Floppy: d.Layout.FloppyKiB != 0,
			Warnings: warnings, Scanned: time.Now(), ScanTime: time.Since(began),
		},
		layout: layout, release: tree.Close,
	}, nil
}

// newDisk returns the disk of a layout, which reports the files that fail.
func (d *Directory) newDisk(layout *vvfat.Layout, report func(Event)) *vvfat.Disk {
	options := d.Disk
	options.Event = func(e vvfat.Event) { report(Event{Changed, e.Path, "reads fail: " + e.Err.Error()}) }
	return vvfat.NewDisk(layout, options)
}
