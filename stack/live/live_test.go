//go:build linux

package live

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/writeback/statedir"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bench is a directory that is served again and again.
type bench struct {
	dir, state string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	top := t.TempDir()
	t.Setenv("XDG_STATE_HOME", filepath.Join(top, "home"))
	b := &bench{filepath.Join(top, "share"), filepath.Join(top, "state")}
	must(t, os.Mkdir(b.dir, 0o755))
	must(t, os.WriteFile(filepath.Join(b.dir, "file"), []byte("contents"), 0o644))
	return b
}

// serve begins to serve the directory.
func (b *bench) serve(t *testing.T, o Options) (*Directory, *stack.Generation, error) {
	t.Helper()
	dir, err := stack.NewDirectory(b.dir)
	must(t, err)
	o.State = b.state
	d := New(dir, o)
	g, err := d.Generate(context.Background(), nil, func(stack.Event) {})
	return d, g, err
}

func (b *bench) mustServe(t *testing.T, o Options) (*Directory, *stack.Generation) {
	t.Helper()
	d, g, err := b.serve(t, o)
	must(t, err)
	return d, g
}

// scribble writes to a free sector at the end of the disk: a change that means
// nothing for the directory, but a disk that somebody has written to.
func scribble(t *testing.T, g *stack.Generation, value byte) {
	t.Helper()
	_, err := g.Device.WriteAt(bytes.Repeat([]byte{value}, 512), g.Device.Size()-8192)
	must(t, err)
}

func scribbled(t *testing.T, g *stack.Generation) byte {
	t.Helper()
	p := make([]byte, 1)
	_, err := g.Device.ReadAt(p, g.Device.Size()-8192)
	must(t, err)
	return p[0]
}

// A disk that nobody has written to is made anew when the directory changes; one
// that is kept is presented again as it was; one that is settled begins anew at a
// start.
func TestResume(t *testing.T) {
	b := newBench(t)
	d, g := b.mustServe(t, Options{})
	must(t, os.WriteFile(filepath.Join(b.dir, "second"), []byte("new"), 0o644))
	next, err := d.Generate(context.Background(), g, func(stack.Event) {})
	must(t, err)
	if next == g || next.Facts.Files != 2 {
		t.Fatalf("a disk that nobody wrote to was not made anew: %d files", next.Facts.Files)
	}
	must(t, g.Close())
	if same, err := d.Generate(context.Background(), next, func(stack.Event) {}); err != nil || same != next {
		t.Errorf("nothing has changed, and there is another generation: %v", err)
	}
	scribble(t, next, 7)
	must(t, os.WriteFile(filepath.Join(b.dir, "third"), []byte("new"), 0o644))
	must(t, next.Close())
	if err := d.Sync(context.Background()); err == nil {
		t.Error("a directory that is not served any more can be synced")
	}
	d, g = b.mustServe(t, Options{KeepGeneration: true})
	if scribbled(t, g) != 7 || g.Facts.Files != 2 {
		t.Errorf("the disk is another one: %d files", g.Facts.Files)
	}
	if st := d.WriteStatus(); st.StateDir != b.state {
		t.Errorf("%+v", st)
	}
	must(t, g.Close())
	_, g = b.mustServe(t, Options{})
	if scribbled(t, g) != 0 || g.Facts.Files != 3 {
		t.Errorf("the disk was settled, and was not made anew: %d files", g.Facts.Files)
	}
	must(t, g.Close())
}

// TestDryRun makes sure that what a dry run did not carry out is there for the
// next server.
func TestDryRun(t *testing.T) {
	b := newBench(t)
	var o Options
	o.DryRun = true
	d, g := b.mustServe(t, o)
	scribble(t, g, 9)
	if d.Renewable(context.Background()) == nil {
		t.Error("a dry run may begin a new generation")
	}
	must(t, g.Close())
	_, g = b.mustServe(t, Options{})
	if scribbled(t, g) != 9 {
		t.Error("what was written in a dry run is lost")
	}
	must(t, g.Close())
}

// Other options would make another disk of one that was written to.
func TestOptions(t *testing.T) {
	b := newBench(t)
	var o Options
	o.DryRun = true
	_, g := b.mustServe(t, o)
	scribble(t, g, 1)
	must(t, g.Close())
	dir, err := stack.NewDirectory(b.dir)
	must(t, err)
	dir.Layout.FAT = 32
	d := New(dir, Options{State: b.state})
	if _, err := d.Generate(context.Background(), nil, func(stack.Event) {}); err == nil || !strings.Contains(err.Error(), "--fat") {
		t.Errorf("another FAT type: %v", err)
	}
	fresh := New(dir, Options{State: b.state, Fresh: true})
	g, err = fresh.Generate(context.Background(), nil, func(stack.Event) {})
	must(t, err)
	if g.Facts.Type != "FAT32" || scribbled(t, g) != 0 {
		t.Errorf("%s, %d", g.Facts.Type, scribbled(t, g))
	}
	must(t, g.Close())
	archives, err := filepath.Glob(filepath.Join(b.state, "archive", "*", "generation-*", statedir.OverlayName))
	if err != nil || len(archives) != 1 {
		t.Errorf("archived: %q, %v", archives, err)
	}
}

// After a reboot clients of other hosts are refused, unless nothing can be
// missing.
func TestReboot(t *testing.T) {
	for _, c := range []struct {
		write, resume, refused bool
	}{{false, false, false}, {true, false, true}, {true, true, false}} {
		b := newBench(t)
		o := Options{KeepGeneration: true}
		o.DryRun = c.write
		_, g := b.mustServe(t, o)
		if c.write {
			scribble(t, g, 1)
		}
		must(t, g.Close())
		path := filepath.Join(b.state, "session.json")
		must(t, os.WriteFile(path, []byte(`{"boot":"another","open":true}`), 0o600))
		d, g := b.mustServe(t, Options{ResumeUnflushed: c.resume, KeepGeneration: false})
		if err := d.Admit(false); (err != nil) != c.refused || (d.WriteStatus().Refusing != "") != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
		must(t, d.Admit(true))
		must(t, g.Close())
	}
}

// A state folder and a directory are for one server.
func TestLocked(t *testing.T) {
	b := newBench(t)
	_, g := b.mustServe(t, Options{})
	if _, _, err := b.serve(t, Options{}); !errors.Is(err, statedir.ErrLocked) {
		t.Errorf("a second server: %v", err)
	}
	must(t, g.Close())
	_, g = b.mustServe(t, Options{})
	must(t, g.Close())
}

// Archive begins a new generation whatever waits.
func TestArchive(t *testing.T) {
	b := newBench(t)
	var o Options
	o.DryRun = true
	d, g := b.mustServe(t, o)
	scribble(t, g, 3)
	d.Archive()
	next, err := d.Generate(context.Background(), g, func(stack.Event) {})
	must(t, err)
	if next == g || scribbled(t, next) != 0 {
		t.Error("the old generation stays")
	}
	must(t, errors.Join(g.Close(), next.Close()))
}
