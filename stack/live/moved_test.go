//go:build linux

package live

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback/statedir"
)

// TestMoved renames the directory while it is served: what a guest writes goes to
// where the directory is, and not to another one that has taken its name. Neither
// can be served meanwhile.
func TestMoved(t *testing.T) {
	b := newBench(t)
	d, g := b.mustServe(t, Options{})
	v := guestOf(t, g)
	moved := b.dir + "-moved"
	must(t, os.Rename(b.dir, moved))
	must(t, os.Mkdir(b.dir, 0o755))
	must(t, errors.Join(vfs.WriteFile(v, "new", []byte("x"), 0o666), v.Remove("file"), v.Sync()))
	must(t, d.Sync(context.Background()))
	if p, err := os.ReadFile(filepath.Join(moved, "new")); err != nil || string(p) != "x" {
		t.Errorf("%q, %v", p, err)
	}
	if list, err := os.ReadDir(b.dir); err != nil || len(list) != 0 {
		t.Errorf("the directory that took its name has %v, %v", list, err)
	}
	if _, err := d.Restore("file"); err != nil {
		t.Error(err)
	}
	if p, err := os.ReadFile(filepath.Join(moved, "file")); err != nil || string(p) != "contents" {
		t.Errorf("%q, %v", p, err)
	}
	state := b.state
	for _, dir := range []string{b.dir, moved} {
		other := &bench{dir, state}
		if _, _, err := other.serve(t, Options{}); !errors.Is(err, statedir.ErrLocked) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	must(t, v.Close())
	must(t, g.Close())
	b.dir = moved
	_, g = b.mustServe(t, Options{}) // its state goes with it
	if g.Facts.Files != 2 {
		t.Errorf("%d files", g.Facts.Files)
	}
	must(t, g.Close())
}
