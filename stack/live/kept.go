package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback/overlay"
	"github.com/fatkit/fatkit/writeback/statedir"
)

// manifestSuffix is the end of the name of the file beside an image that says
// what the image lies on.
const manifestSuffix = ".manifest"

// Kept is a directory whose disk takes writes that never reach the directory:
// they are kept in an image of the user's choice. There is one generation, from
// the day that the image is made. A file of the directory that changes
// afterwards fails its reads.
type Kept struct {
	dir   *stack.Directory
	image string
}

var _ stack.Source = (*Kept)(nil)

// NewKept returns the directory dir with the image at a path, which is made if it
// is not there.
func NewKept(dir *stack.Directory, image string) *Kept { return &Kept{dir, image} }

// Path implements stack.Source.
func (k *Kept) Path() string { return k.dir.Path() }

// BaseName implements stack.Source.
func (k *Kept) BaseName() string { return k.dir.BaseName() }

// Generate implements stack.Source.
func (k *Kept) Generate(ctx context.Context, prev *stack.Generation, report func(stack.Event)) (g *stack.Generation, err error) {
	if prev != nil {
		return prev, nil
	}
	if inside, err := within(k.image, k.dir.Dir); err != nil {
		return nil, err
	} else if inside {
		return nil, fmt.Errorf("%s: it cannot lie in %s, which guests see", k.image, k.dir.Dir)
	}
	tree, err := hostfs.OpenRoot(k.dir.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tree.Close())
		}
	}()
	l, err := k.layout(ctx, tree, report)
	if err != nil {
		return nil, err
	}
	image, err := file.Open(k.image, file.Options{Lock: true})
	if err != nil {
		return nil, err
	}
	disk := k.dir.Disk
	disk.Event = func(e vvfat.Event) {
		report(stack.Event{Kind: stack.Changed, Path: e.Path, Text: "reads fail: " + e.Err.Error()})
	}
	d, err := overlay.Open(ctx, image, vvfat.NewDisk(l, disk), overlay.Options{TempDir: filepath.Dir(k.image), Unclean: true})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", k.image, err), image.Close())
	}
	facts := stack.Facts{Info: l.Info(), ESP: k.dir.Layout.ESP, Floppy: k.dir.Layout.FloppyKiB != 0, Scanned: time.Now()}
	return stack.NewGeneration(d, l, facts, func() error { return errors.Join(d.Close(), tree.Close()) }), nil
}

// layout returns what the image lies on. It makes both if there is no image.
func (k *Kept) layout(ctx context.Context, tree *hostfs.Root, report func(stack.Event)) (*vvfat.Layout, error) {
	folder, err := hostfs.OpenRoot(filepath.Dir(k.image))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	_, err = os.Stat(k.image)
	if errors.Is(err, fs.ErrNotExist) {
		return k.create(ctx, folder, tree, report)
	}
	if err != nil {
		return nil, err
	}
	m, err := statedir.LoadManifest(folder, filepath.Base(k.image)+manifestSuffix, tree)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no %s beside it: it was not made by serve --overlay, or not as this file", k.image, filepath.Base(k.image)+manifestSuffix)
	}
	if err != nil {
		return nil, err
	}
	if flag := m.Differs(k.dir.Layout, k.dir.Scan); flag != "" {
		return nil, fmt.Errorf("%s: %s would make that another disk than the one that it lies on", k.image, flag)
	}
	return m.Layout, nil
}

// create makes manifest and image of the directory as it is now. The image
// counts, and gets its name last.
func (k *Kept) create(ctx context.Context, folder, tree *hostfs.Root, report func(stack.Event)) (*vvfat.Layout, error) {
	d := Directory{dir: k.dir, tree: tree}
	l, _, err := d.scan(ctx, nil, report)
	if err != nil {
		return nil, err
	}
	top, err := folder.OpenDir(".")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	name := filepath.Base(k.image)
	if err := statedir.SaveManifest(top, name+manifestSuffix, &statedir.Manifest{Layout: l, Scan: statedir.SettingsOf(k.dir.Scan)}); err != nil {
		return nil, err
	}
	f, err := file.Create(k.image+".new", 0, file.Options{Overwrite: true})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(overlay.Create(f, l.Size()), f.Close()); err != nil {
		return nil, err
	}
	if err := top.Rename(name+".new", top, name, hostfs.NoReplace); err != nil {
		return nil, err
	}
	return l, top.Sync()
}

// within reports whether a file that need not exist lies in a directory or below
// it.
func within(path, dir string) (bool, error) {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return false, err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(real, folder)
	return err == nil && filepath.IsLocal(rel), nil
}
