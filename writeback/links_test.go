package writeback_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// TestLinksWait changes files that the disk shows through a symbolic link: what is
// below it waits and says why, the files have their changes under their real
// paths, and the link itself can be deleted.
func TestLinksWait(t *testing.T) {
	r := newRigOf(t, 16, map[string]string{"d/x": "x", "d/y": "y", "a": "a"}, func(r *rig) {
		r.must(os.Symlink("d", filepath.Join(r.dir, "link")))
	})
	real := func(name string) string {
		p, err := os.ReadFile(filepath.Join(r.dir, name))
		r.must(err)
		return string(p)
	}
	r.must(errors.Join(vfs.WriteFile(r.guest, "link/x", []byte("through the link"), 0o666), vfs.WriteFile(r.guest, "d/y", []byte("real"), 0o666),
		vfs.WriteFile(r.guest, "link/new", []byte("new"), 0o666), r.guest.Sync()))
	if err := r.s.Sync(t.Context()); !errors.Is(err, writeback.ErrPending) {
		t.Fatalf("%v", err)
	}
	st := r.s.Status()
	waits := map[string]bool{}
	for _, p := range st.Pending {
		waits[p.Path] = true
	}
	if len(st.Pending) != 3 || !waits["link"] || !waits["link/x"] || !waits["link/new"] { // the directory has another time
		t.Fatalf("%+v", st.Pending)
	}
	if real("d/x") != "x" || real("d/y") != "real" {
		t.Fatalf("%q, %q", real("d/x"), real("d/y"))
	}
	r.must(errors.Join(r.guest.RemoveAll("link"), r.guest.Sync()))
	if err := r.s.Sync(t.Context()); err != nil {
		t.Fatalf("%v, %+v", err, r.s.Status().Pending)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, "link")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
	if real("d/x") != "x" {
		t.Errorf("its target was changed: %q", real("d/x"))
	}
}

// TestStatusOfCommits says how much commits placed, and how long the last took.
func TestStatusOfCommits(t *testing.T) {
	r := newRig(t, 16, fixture)
	for i, n := range []int{3000, 100} {
		r.must(vfs.WriteFile(r.guest, []string{"new", "a.txt"}[i], make([]byte, n), 0o666))
		r.sync()
		if st := r.s.Status(); st.LastBytes != int64(n) || st.LastTime <= 0 || st.LastCommit.IsZero() {
			t.Errorf("%d bytes: %+v", n, st)
		}
	}
	if st := r.s.Status(); st.Bytes != 3100 || st.Commits != 2 {
		t.Errorf("%+v", st)
	}
}
