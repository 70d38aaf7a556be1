//go:build linux

package statedir

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/vvfat"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// share makes a directory with a few files and returns its path and its layout.
func share(t *testing.T) (string, *Manifest) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "share")
	must(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("contents"), 0o644))
	root, err := hostfs.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	tree, err := vvfat.ScanHost(context.Background(), root, vvfat.ScanOptions{})
	must(t, err)
	l, err := vvfat.NewLayout(tree, vvfat.Options{FAT: 16})
	must(t, err)
	return dir, &Manifest{Layout: l, Scan: SettingsOf(vvfat.ScanOptions{Exclude: []string{"*.bak"}}), Extra: []byte(`{"a":1}`)}
}

func open(t *testing.T, dir string, o Options) *Dir {
	t.Helper()
	d, err := Open(dir, o)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func TestGenerations(t *testing.T) {
	dir, m := share(t)
	home := t.TempDir()
	d := open(t, dir, Options{Home: home})
	if g, err := d.Current(); g != nil || err != nil {
		t.Fatalf("%v, %v", g, err)
	}
	began, err := d.Begin(m, func(f hostfs.Dir, folder string) error {
		o, err := f.Create(OverlayName, 0o600)
		if err != nil {
			return err
		}
		return o.Close()
	})
	must(t, err)
	g, err := d.Current()
	must(t, err)
	if g.Number != began.Number || g.Overlay() != g.Folder()+"/"+OverlayName {
		t.Errorf("%+v is not %+v", g, began)
	}
	root, err := hostfs.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	got, err := g.Manifest(root)
	must(t, err)
	if !got.Layout.Equal(m.Layout) || string(got.Extra) != `{"a":1}` {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		layout vvfat.Options
		scan   vvfat.ScanOptions
		want   string
	}{
		{vvfat.Options{FAT: 16}, vvfat.ScanOptions{Exclude: []string{"*.bak"}}, ""},
		{vvfat.Options{FAT: 32}, vvfat.ScanOptions{Exclude: []string{"*.bak"}}, "--fat"},
		{vvfat.Options{FAT: 16}, vvfat.ScanOptions{}, "--exclude"},
		{vvfat.Options{FAT: 16}, vvfat.ScanOptions{Exclude: []string{"*.bak"}, TooLarge: vvfat.Skip}, "--too-large"},
	} {
		if flag := got.Differs(c.layout, c.scan); flag != c.want {
			t.Errorf("differs in %q, not %q", flag, c.want)
		}
	}
	for _, yes := range []bool{true, true, false, false, true} {
		must(t, g.SetSettled(yes))
		if now, err := g.Settled(); err != nil || now != yes {
			t.Errorf("settled: %v, %v", now, err)
		}
	}
	next, err := d.Begin(m, nil)
	must(t, err)
	must(t, d.RemoveOld())
	if g, err := d.Current(); err != nil || g.Number != next.Number || g.Number != began.Number+1 {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := os.Stat(d.Join(began.Folder())); !os.IsNotExist(err) {
		t.Errorf("the old generation: %v", err)
	}
}

// A generation whose manifest is missing or damaged.
func TestIncomplete(t *testing.T) {
	dir, m := share(t)
	d := open(t, dir, Options{Home: t.TempDir()})
	first, err := d.Begin(m, nil)
	must(t, err)
	second, err := d.Begin(m, nil)
	must(t, err)
	must(t, os.Remove(d.Join(second.Folder()+"/"+manifestName)))
	if g, err := d.Current(); err != nil || g.Number != first.Number {
		t.Fatalf("%+v, %v", g, err)
	}
	path := d.Join(first.Folder() + "/" + manifestName)
	whole, err := os.ReadFile(path)
	must(t, err)
	var bad *diskerr.FormatError
	for i := 0; i < len(whole); i += 7 {
		for _, p := range [][]byte{whole[:i], flip(whole, i)} {
			if _, err := decodeManifest(bytes.NewReader(p), nil); !errors.As(err, &bad) {
				t.Errorf("damaged at %d: %v", i, err)
			}
		}
	}
	must(t, d.RemoveOld())
	if names, err := d.list(generationPrefix); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
}

func flip(p []byte, i int) []byte {
	q := bytes.Clone(p)
	q[i] ^= 0x10
	return q
}

// FuzzManifest decodes arbitrary bytes behind a head that is intact.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifestMagic + "\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if m, err := decodeManifest(bytes.NewReader(p), nil); err == nil {
			m.Layout.Directory(vvfat.RootID)
		}
	})
}

func TestOneWriter(t *testing.T) {
	dir, m := share(t)
	home, other := t.TempDir(), t.TempDir()
	d := open(t, dir, Options{Home: home})
	if _, err := Open(dir, Options{Home: home}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second server: %v", err)
	}
	if _, err := Open(dir, Options{Home: t.TempDir(), Path: other}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second server with other state: %v", err)
	}
	g, err := d.Begin(m, nil)
	must(t, err)
	must(t, d.Close())

	var elsewhere *ElsewhereError
	if _, err := Open(dir, Options{Home: home, Path: other}); !errors.As(err, &elsewhere) || elsewhere.State != d.Path() {
		t.Errorf("unapplied changes elsewhere: %v", err)
	}
	moved := filepath.Join(filepath.Dir(dir), "moved")
	must(t, os.Rename(dir, moved))
	if _, err := Open(moved, Options{Home: home}); !errors.As(err, &elsewhere) {
		t.Errorf("unapplied changes of a directory that was moved: %v", err)
	}
	again := open(t, moved, Options{Home: home, Path: d.Path()})
	must(t, again.Close())

	must(t, os.Mkdir(dir, 0o755)) // another directory at the same path
	if _, err := Open(dir, Options{Home: home, Path: d.Path()}); err == nil || !strings.Contains(err.Error(), "another directory") {
		t.Errorf("state of another directory: %v", err)
	}
	g.s = NewStore(mustRoot(t, d.Path()))
	must(t, g.SetSettled(true))
	open(t, moved, Options{Home: home, Path: other})

	if _, err := Open(dir, Options{Home: home, Path: filepath.Join(dir, "state")}); err == nil || !strings.Contains(err.Error(), "within") {
		t.Errorf("state within the directory: %v", err)
	}
}

func mustRoot(t *testing.T, path string) *hostfs.Root {
	t.Helper()
	r, err := hostfs.OpenRoot(path)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func TestSession(t *testing.T) {
	dir, _ := share(t)
	d := open(t, dir, Options{Home: t.TempDir()})
	now := time.Now()
	enter := func(boot string, want Last) {
		t.Helper()
		if got, err := d.Enter(boot, now); err != nil || got != want {
			t.Errorf("%+v, %v, not %+v", got, err, want)
		}
	}
	enter("one", Last{})
	enter("one", Last{Unclean: true})
	enter("two", Last{Unclean: true, Rebooted: true})
	must(t, d.Leave("two", now))
	enter("three", Last{})
	if len(BootID()) < 30 {
		t.Errorf("boot identifier %q", BootID())
	}
}

func TestArchive(t *testing.T) {
	dir, m := share(t)
	d := open(t, dir, Options{Home: t.TempDir()})
	if path, err := d.Archive(time.Now()); path != "" || err != nil {
		t.Fatalf("%q, %v", path, err)
	}
	g, err := d.Begin(m, nil)
	must(t, err)
	aside, err := d.Aside(mustRoot(t, dir))
	must(t, err)
	if aside.InTree {
		t.Errorf("%+v", aside)
	}
	must(t, os.WriteFile(d.Join("aside/kept/7"), nil, 0o600))
	must(t, os.WriteFile(d.Join("aside/trash/8"), nil, 0o600))
	path, err := d.Archive(time.Now())
	must(t, err)
	for _, name := range []string{path + "/" + g.Folder() + "/" + manifestName, path + "/kept/7", "aside/trash/8"} {
		if _, err := os.Stat(d.Join(name)); err != nil {
			t.Error(err)
		}
	}
	if g, err := d.Current(); g != nil || err != nil {
		t.Errorf("%+v, %v", g, err)
	}
}

// On another file system the aside folder is in the tree.
func TestAsideInTree(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "fatkit-*")
	if err != nil {
		tools.Missing(t, "a second file system: "+err.Error())
	}
	defer os.RemoveAll(shm)
	dir, _ := share(t)
	d := open(t, dir, Options{Home: t.TempDir(), Path: shm})
	aside, err := d.Aside(mustRoot(t, dir))
	must(t, err)
	if !aside.InTree || aside.Path != vvfat.AsideName {
		tools.Missing(t, "a second file system: both folders are on one")
	}
	if _, err := os.Stat(filepath.Join(dir, vvfat.AsideName, StageName)); err != nil {
		t.Error(err)
	}
}
