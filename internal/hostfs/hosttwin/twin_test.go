package hosttwin

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttest"
)

func TestConformance(t *testing.T) {
	hosttest.Run(t, func(testing.TB) hostfs.Writable { return New().Root(".") })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put makes or overwrites a file and leaves it open.
func put(t testing.TB, d hostfs.Dir, name, content string) hostfs.WFile {
	t.Helper()
	f, err := d.Create(name, 0o644)
	if errors.Is(err, fs.ErrExist) {
		f, err = d.OpenFile(name)
	}
	must(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	must(t, err)
	return f
}

// look describes the top directory: names with what the files hold.
func look(t testing.TB, m *Machine) string {
	t.Helper()
	w := m.Foreign(".")
	var l hostfs.Listing
	must(t, w.ReadDir(".", &l))
	var out []string
	for i := range l.Entries {
		name := string(l.NameOf(&l.Entries[i]))
		p := make([]byte, l.Entries[i].Size)
		if l.Entries[i].Mode.IsRegular() {
			f, _, err := w.Open(name)
			must(t, err)
			if _, err := f.ReadAt(p, 0); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			must(t, f.Close())
			name += "=" + strings.TrimRight(string(p), "\x00")
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// reboots returns everything that may be left.
func reboots(t testing.TB, m *Machine) map[string]bool {
	out := map[string]bool{}
	for seed := range uint64(60) {
		out[look(t, m.Reboot(seed))] = true
	}
	return out
}

func expect(t *testing.T, what string, got map[string]bool, want ...string) {
	t.Helper()
	if !maps.Equal(got, asSet(want)) {
		t.Errorf("%s: %q, not %q", what, slices.Sorted(maps.Keys(got)), want)
	}
}

func asSet(list []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range list {
		out[s] = true
	}
	return out
}

// Names are lost from the end, contents in any way, and what was synced not.
func TestReboot(t *testing.T) {
	m := New()
	d, err := m.Root(".").OpenDir(".")
	must(t, err)
	f := put(t, d, "a", "A")
	expect(t, "a new file", reboots(t, m), "", "a=", "a=A")
	must(t, f.Sync())
	expect(t, "a synced file whose name is not", reboots(t, m), "", "a=A")
	must(t, d.Sync())
	expect(t, "with its name", reboots(t, m), "a=A")
	must(t, d.Rename("a", d, "b", hostfs.NoReplace))
	must(t, d.Mkdir("c", 0o755))
	must(t, d.Unlink("b"))
	expect(t, "changes of names", reboots(t, m), "a=A", "b=A", "b=A c", "c")
	must(t, m.Root(".").SyncFS())
	expect(t, "after a sync of the file system", reboots(t, m), "c")
	if got := look(t, m.Kill()); got != "c" {
		t.Errorf("killed: %q", got)
	}
}

// Sectors are lost one by one.
func TestTornContents(t *testing.T) {
	m := New()
	d, err := m.Root(".").OpenDir(".")
	must(t, err)
	f := put(t, d, "a", strings.Repeat("1", 3*sectorBytes))
	must(t, f.Sync())
	must(t, d.Sync())
	_, err = f.WriteAt([]byte(strings.Repeat("2", 3*sectorBytes)), 0)
	must(t, err)
	if got := reboots(t, m); len(got) != 8 {
		t.Errorf("%d of 8 ways to tear three sectors", len(got))
	}
	must(t, f.SyncData())
	if got := reboots(t, m); len(got) != 1 {
		t.Errorf("%d ways after a sync", len(got))
	}
}

// A number that is given out anew belongs to another inode, before and after a
// reboot that loses some of it.
func TestInodeNumbers(t *testing.T) {
	m := New()
	d, err := m.Root(".").OpenDir(".")
	must(t, err)
	must(t, put(t, d, "a", "A").Close())
	m.Settle()
	old, err := d.Lookup("a")
	must(t, err)
	must(t, d.Unlink("a"))
	f := put(t, d, "b", "B")
	must(t, f.Sync())
	must(t, f.Close())
	fresh, err := d.Lookup("b")
	must(t, err)
	if fresh.Ino != old.Ino || fresh.Same(old) {
		t.Errorf("%+v after %+v", fresh, old)
	}
	expect(t, "with a number in use again", reboots(t, m), "a=A", "", "b=B")
	again, err := m.Reboot(1).Foreign(".").OpenDir(".")
	must(t, err)
	id, err := again.Lookup("b")
	must(t, err)
	if id.Dev == fresh.Dev || !id.Same(fresh) {
		t.Errorf("%+v was %+v before the reboot", id, fresh)
	}
}

func TestCutAndFail(t *testing.T) {
	m := New()
	d, err := m.Root(".").OpenDir(".")
	must(t, err)
	m.CutAt(1)
	must(t, d.Mkdir("a", 0o755))
	for range 2 {
		if err := d.Mkdir("b", 0o755); !errors.Is(err, ErrCut) {
			t.Errorf("after the cut: %v", err)
		}
	}
	if m.Describe(1) != "mkdir b" || look(t, m.Kill()) != "a" {
		t.Errorf("%s: %s", m.Describe(1), look(t, m.Kill()))
	}
	m = New()
	d, err = m.Root(".").OpenDir(".")
	must(t, err)
	bad := errors.New("bad")
	m.FailAt(0, bad, false)
	if err := d.Mkdir("a", 0o755); !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
	must(t, d.Mkdir("a", 0o755))
}
