//go:build linux

package live

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// killed closes a generation and leaves the files of the state folder as they were
// before, which is as a server that is killed leaves them.
func (b *bench) killed(t *testing.T, g *stack.Generation) {
	t.Helper()
	saved := map[string][]byte{}
	for _, pattern := range []string{"*.json", "generation-*/journal"} {
		names, err := filepath.Glob(filepath.Join(b.state, pattern))
		must(t, err)
		for _, name := range names {
			saved[name], err = os.ReadFile(name)
			must(t, err)
		}
	}
	must(t, g.Close())
	for _, pattern := range []string{"*.json", "generation-*/settled"} {
		names, err := filepath.Glob(filepath.Join(b.state, pattern))
		must(t, err)
		for _, name := range names {
			must(t, os.Remove(name))
		}
	}
	for name, p := range saved {
		must(t, os.WriteFile(name, p, 0o600))
	}
}

// TestTrashSurvives deletes a file under one server after the other, each of which
// is killed and followed by one with --fresh or without: the trash lists all of
// them, by where they were, and gives them back.
func TestTrashSurvives(t *testing.T) {
	b := newBench(t)
	names := []string{"a", "dir/b", "c", "d"}
	for _, name := range names {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(b.dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(b.dir, name), []byte("contents of "+name), 0o644))
	}
	for i, name := range names {
		d, g := b.mustServe(t, Options{Fresh: i%2 == 0})
		v := guestOf(t, g)
		must(t, errors.Join(v.Remove(name), v.Sync()))
		must(t, d.Sync(context.Background()))
		b.killed(t, g)
	}
	d, g := b.mustServe(t, Options{Fresh: true})
	list, err := d.Trash()
	must(t, err)
	if len(list) != len(names) {
		t.Fatalf("%+v", list)
	}
	for _, name := range names {
		to, err := d.Restore(name)
		if err != nil || to != name {
			t.Errorf("%s: %q, %v; %+v", name, to, err, list)
		}
		if p, err := os.ReadFile(filepath.Join(b.dir, name)); err != nil || string(p) != "contents of "+name {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
	must(t, g.Close())
}

// TestTrashWithoutList destroys the journal: the files of the trash are listed by
// the names that they have there.
func TestTrashWithoutList(t *testing.T) {
	b := newBench(t)
	d, g := b.mustServe(t, Options{})
	v := guestOf(t, g)
	must(t, errors.Join(vfs.WriteFile(v, "new", []byte("x"), 0o666), v.Remove("file"), v.Sync()))
	must(t, d.Sync(context.Background()))
	b.killed(t, g)
	journals, err := filepath.Glob(filepath.Join(b.state, "generation-*", "journal"))
	if err != nil || len(journals) != 1 {
		t.Fatal(journals, err)
	}
	must(t, os.WriteFile(journals[0], []byte("no journal"), 0o600))
	if _, _, err := b.serve(t, Options{}); err == nil {
		t.Fatal("a damaged journal was taken for a good one")
	}
	var told []stack.Event
	dir, err := stack.NewDirectory(b.dir)
	must(t, err)
	d = New(dir, Options{State: b.state, Fresh: true, Options: writeback.Options{}})
	g, err = d.Generate(context.Background(), nil, func(e stack.Event) { told = append(told, e) })
	must(t, err)
	list, err := d.Trash()
	if err != nil || len(list) != 1 || list[0].Path != list[0].Name || len(told) == 0 {
		t.Fatalf("%+v, %v, %+v", list, err, told)
	}
	to, err := d.Restore(list[0].Name)
	must(t, err)
	if p, err := os.ReadFile(filepath.Join(b.dir, to)); err != nil || string(p) != "contents" {
		t.Errorf("%q, %v", p, err)
	}
	must(t, g.Close())
}
