package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
)

// reuse is a sequence of steps in which names or clusters are used again.
type reuse struct {
	name  string
	steps []func(w *world) error
	want  map[string]string // the tree afterwards
	// marks are whose mode and extended attribute files have afterwards; "" is
	// nobody's. What is not in it may have any.
	marks map[string]string
}

// marked are files of the host, each with a mode and an extended attribute of
// its own.
var marked = map[string]string{"a": "contents of a", "b": string(pattern("b", 3000)), "c": "contents of c", "d/e": "contents of e"}

var markedModes = map[string]fs.FileMode{"a": 0o640, "b": 0o600, "c": 0o664, "d/e": 0o604}

const markName = "user.whose"

func guestDoes(do func(g *fat.Volume) error) func(w *world) error {
	return func(w *world) error { return errors.Join(do(w.guest), w.guest.Sync()) }
}

func renames(from, to string) func(w *world) error {
	return guestDoes(func(g *fat.Volume) error { return g.Rename(from, to) })
}

func removes(name string) func(w *world) error {
	return guestDoes(func(g *fat.Volume) error { return g.Remove(name) })
}

func writes(name, text string) func(w *world) error {
	return guestDoes(func(g *fat.Volume) error { return vfs.WriteFile(g, name, []byte(text), 0o666) })
}

// onClusterOf makes a file on the cluster that another had, which is free now.
func onClusterOf(name, text, old string) func(w *world) error {
	return func(w *world) error {
		w.mount() // a guest that looks for free clusters from the first on
		if err := writes(name, text)(w); err != nil {
			return err
		}
		extents, err := w.guest.Extents(name)
		if err != nil {
			return err
		}
		if owner, ok := w.lay.OwnerOf(extents[0].Cluster); !ok || w.lay.HostPath(owner) != old {
			return fmt.Errorf("%s is on cluster %d, which was not that of %s", name, extents[0].Cluster, old)
		}
		return nil
	}
}

var reuses = []reuse{
	{
		"delete and create", []func(w *world) error{removes("a"), writes("a", "again")},
		map[string]string{"a": "again", "b": marked["b"], "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"a": "a", "b": "b", "c": "c"},
	},
	{
		"delete, and create another on its cluster", []func(w *world) error{removes("a"), onClusterOf("other", "another", "a")},
		map[string]string{"other": "another", "b": marked["b"], "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"other": "", "b": "b", "c": "c"},
	},
	{
		"swap", []func(w *world) error{renames("a", "t"), renames("b", "a"), renames("t", "b")},
		map[string]string{"a": marked["b"], "b": marked["a"], "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"a": "b", "b": "a", "c": "c"},
	},
	{
		"three-way cycle", []func(w *world) error{renames("a", "t"), renames("b", "a"), renames("d/e", "b"), renames("t", "d/e")},
		map[string]string{"a": marked["b"], "b": marked["d/e"], "c": marked["c"], "d/": "", "d/e": marked["a"]},
		map[string]string{"a": "b", "b": "d/e", "c": "c", "d/e": "a"},
	},
	{
		"rename and rewrite", []func(w *world) error{
			renames("b", "d/z"),
			guestDoes(func(g *fat.Volume) error { return fatguest.Patch(g, "d/z", pattern("z", 3000), 0) }),
		},
		map[string]string{"a": marked["a"], "d/z": string(pattern("z", 3000)), "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"a": "a", "c": "c", "d/z": "b"},
	},
	{
		"replace by temporary file", []func(w *world) error{writes("t", "new contents"), renames("t", "a")},
		map[string]string{"a": "new contents", "b": marked["b"], "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"a": "a", "b": "b", "c": "c"},
	},
	{
		"replace, with the old one moved aside", []func(w *world) error{
			writes("t", "saved"), renames("a", "old"), renames("t", "a"), removes("old"),
		},
		map[string]string{"a": "saved", "b": marked["b"], "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"a": "a", "b": "b", "c": "c"},
	},
	{
		"saved twice", []func(w *world) error{
			writes("t", "saved"), renames("t", "a"), removes("a"), writes("a", "once more"),
		},
		map[string]string{"a": "once more", "b": marked["b"], "c": marked["c"], "d/": "", "d/e": marked["d/e"]},
		map[string]string{"a": "a", "b": "b", "c": "c"},
	},
}

// caseUsedAgain runs the sequences with each choice of quiet points between the
// steps. Contents, modes and extended attributes are where they should be, and what
// was deleted or overwritten is kept.
func caseUsedAgain(t *testing.T) {
	for _, r := range reuses {
		t.Run(r.name, func(t *testing.T) {
			for quiet := range 1 << (len(r.steps) - 1) {
				for _, kill := range []bool{false, true} {
					useAgain(t, &r, quiet, kill)
				}
			}
		})
	}
}

func useAgain(t *testing.T, r *reuse, quiet int, kill bool) {
	w := newWorld(t, 16, marked)
	for name, mode := range markedModes {
		w.must(mark(w.m.Foreign("share"), name, mode))
	}
	w.present(w.shape)
	w.must(w.open())
	w.mount()
	what := fmt.Sprintf("quiet points %b, kills %v", quiet, kill)
	for i, step := range r.steps {
		w.must(step(w))
		if quiet&(1<<i) == 0 {
			continue
		}
		w.must(w.s.Sync(t.Context()))
		w.same(what)
		if kill {
			w.kill()
			w.mount()
		}
	}
	w.arrived(what)
	if d := fatguest.Difference(r.want, w.hostTree()); d != "" {
		t.Fatalf("%s:\n%s", what, d)
	}
	for name, whose := range r.marks {
		mode, got := w.markOf(name)
		if got != whose || whose != "" && mode != markedModes[whose] {
			t.Errorf("%s: %s has mode %v and the mark %q, want those of %q", what, name, mode, got, whose)
		}
	}
	tree, aside := w.contents()
	all := append(tree, aside...)
	for name, text := range marked {
		if !slices.Contains(all, text) {
			t.Errorf("%s: what %s held is lost", what, name)
		}
	}
	w.must(w.s.Close(context.Background()))
}

// mark gives a file of the host a mode and an extended attribute.
func mark(root hostfs.Writable, name string, mode fs.FileMode) error {
	return hostfs.InDir(root, name, func(d hostfs.Dir, base string) error {
		n, err := d.OpenNode(base)
		if err != nil {
			return err
		}
		return errors.Join(n.SetMode(mode), n.SetXattr(markName, []byte(name)), n.Close())
	})
}

// markOf returns the mode of a file of the host, and its extended attribute.
func (w *world) markOf(name string) (mode fs.FileMode, value string) {
	w.t.Helper()
	w.must(hostfs.InDir(w.m.Foreign("share"), name, func(d hostfs.Dir, base string) error {
		n, err := d.OpenNode(base)
		if err != nil {
			return err
		}
		id, err := n.Identity()
		mode = id.Mode.Perm()
		v, xerr := n.Xattr(markName)
		if errors.Is(xerr, hostfs.ErrNoXattr) {
			xerr = nil
		}
		value = string(v)
		return errors.Join(err, xerr, n.Close())
	}))
	return mode, value
}
