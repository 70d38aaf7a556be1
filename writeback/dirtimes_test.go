package writeback_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// TestDirectoryTimes changes what directories hold. They keep the time that they
// have on the host, to the nanosecond, as long as the guest gives them no other.
func TestDirectoryTimes(t *testing.T) {
	r := newRig(t, 16, fixture)
	fine := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	at := func(dir string) time.Time {
		t.Helper()
		fi, err := os.Stat(filepath.Join(r.dir, dir))
		r.must(err)
		return fi.ModTime().UTC()
	}
	for _, dir := range []string{"d", "d/e", "d2"} {
		r.must(os.Chtimes(filepath.Join(r.dir, dir), fine, fine))
	}
	step := func(what string, do func() error, want map[string]time.Time) {
		t.Helper()
		r.must(do())
		r.sync()
		r.same()
		for dir, when := range want {
			if got := at(dir); !got.Equal(when) {
				t.Errorf("%s: %s has the time %v, want %v", what, dir, got, when)
			}
		}
	}
	write := func(name, text string) func() error {
		return func() error { return vfs.WriteFile(r.guest, name, []byte(text), 0o666) }
	}
	step("contents", write("d/e/deep.bin", "new contents"), map[string]time.Time{"d": fine, "d/e": fine})
	step("a new file", write("d/new", "new"), map[string]time.Time{"d/e": fine})
	fi, err := r.guest.Stat("d")
	r.must(err)
	if got := at("d"); !got.Equal(fi.ModTime()) {
		t.Errorf("d has the time %v, the guest sees %v", got, fi.ModTime())
	}
	mine := time.Date(2022, 2, 2, 2, 2, 2, 0, time.UTC)
	step("the guest's time", func() error { return r.guest.Chtimes("d2", vfs.Times{Modified: mine}) }, map[string]time.Time{"d2": mine})
	step("a file with it", func() error {
		r.must(write("d2/f", "f")())
		return r.guest.Chtimes("d2", vfs.Times{Modified: mine})
	}, map[string]time.Time{"d2": mine})
	step("contents again", write("d2/f", "and more of it"), map[string]time.Time{"d2": mine})
	r.restart()
	step("after a restart", write("d2/f", "g"), map[string]time.Time{"d2": mine, "d/e": fine})
}
