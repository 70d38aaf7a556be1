package vvfat

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// denier is a source some of whose names may not be read: it works for root
// too, who may read everything.
type denier struct {
	source
	entry func(name string, e *hostfs.Entry)
	lists func(path string) error
	opens func(path string) error
}

func (d denier) list(path string, l *hostfs.Listing) error {
	if d.lists != nil {
		if err := d.lists(path); err != nil {
			return err
		}
	}
	err := d.source.list(path, l)
	for i := range l.Entries {
		if d.entry != nil {
			d.entry(string(l.NameOf(&l.Entries[i])), &l.Entries[i])
		}
	}
	return err
}

func (d denier) open(path string) (content, hostfs.Stat, error) {
	if d.opens != nil {
		if err := d.opens(path); err != nil {
			return nil, hostfs.Stat{}, err
		}
	}
	return d.source.open(path)
}

func TestScanDenied(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "somewhere else", Err: fs.ErrPermission}
	for what, d := range map[string]denier{
		"mode": {entry: func(name string, e *hostfs.Entry) { e.Denied = name == "bad" }},
		"error": {entry: func(name string, e *hostfs.Entry) {
			if name == "bad" {
				e.Err = syscall.EIO
			}
		}},
		"link": {opens: func(path string) error {
			if path == "target" {
				return denied
			}
			return nil
		}},
		"list": {lists: func(path string) error {
			if path == "bad" {
				return denied
			}
			return nil
		}},
	} {
		bad := map[string]string{"mode": "bad", "error": "bad", "link": "bad -> target", "list": "bad/"}[what]
		dir := hostTree(t, "good", "target", bad)
		root, err := hostfs.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		d.source = hostSource{root}
		_, err = scan(context.Background(), d, ScanOptions{})
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "bad")) || !strings.Contains(err.Error(), "--unreadable skip") {
			t.Errorf("%s: %v", what, err)
		}
		var warns []Warning
		tree, err := scan(context.Background(), d, ScanOptions{Unreadable: Skip, Warn: func(w Warning) { warns = append(warns, w) }})
		if err != nil || kinds(warns) != "unreadable:bad" {
			t.Errorf("%s: %v, %v", what, kinds(warns), err)
			continue
		}
		// A directory is known to be unreadable only when it is in the tree.
		if got := strings.Join(paths(tree), " "); got != "good target" && (what != "list" || got != "bad/ good target") {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// A process out of descriptors closes files that nobody reads.
func TestOutOfDescriptors(t *testing.T) {
	root, err := hostfs.OpenRoot(hostTree(t, "a", "b", "c", "d"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var d *Disk
	src := denier{source: hostSource{root}, opens: func(string) error {
		if d != nil && d.files.recent.Len() > 2 {
			return &fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}
		}
		return nil
	}}
	tree, err := scan(context.Background(), src, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d = newDisk(t, tree, Options{}, DiskOptions{MaxOpenFiles: 4})
	for id := RootID + 1; int(id) < tree.count; id++ {
		p := make([]byte, 1)
		if _, err := d.ReadAt(p, d.l.volume+d.l.geo.ClusterOffset(d.l.firstCluster(id))); err != nil || p[0] != tree.name(id)[0] {
			t.Errorf("%s: %q, %v", tree.path(id), p, err)
		}
	}
}

// A medium that fails is no change of the file, and is told once.
func TestMediumFails(t *testing.T) {
	var events []Event
	root, err := hostfs.OpenRoot(hostTree(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	src := denier{source: hostSource{root}, opens: func(string) error { return syscall.EIO }}
	tree, err := scan(context.Background(), src, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, tree, Options{}, DiskOptions{Event: func(e Event) { events = append(events, e) }})
	for range 2 {
		at := d.l.volume + d.l.geo.ClusterOffset(d.l.firstCluster(1))
		if _, err := d.ReadAt(make([]byte, 1), at); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "a") {
			t.Errorf("%v", err)
		}
	}
	if len(events) != 1 || !errors.Is(events[0].Err, syscall.EIO) {
		t.Errorf("%v", events)
	}
}

func TestParseFlags(t *testing.T) {
	for _, k := range []TableKind{TableAuto, TableNone, TableMBR, TableGPT} {
		if got, err := ParseTable(k.String()); got != k || err != nil {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	for _, p := range []Policy{Fail, Skip} {
		if got, err := ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	if _, err := ParseTable("apm"); err == nil {
		t.Error("apm is a table")
	}
	if _, err := ParsePolicy("follow"); err == nil {
		t.Error("follow is a policy")
	}
}
