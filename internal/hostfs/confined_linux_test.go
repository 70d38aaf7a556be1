package hostfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// trap is a tree with a directory outside of it that must never change.
type trap struct {
	testing.TB
	base, outside string
	root          *hostfs.Root
}

func newTrap(t testing.TB) *trap {
	t.Helper()
	base := t.TempDir()
	tr := &trap{t, filepath.Join(base, "in"), filepath.Join(base, "out"), nil}
	for _, dir := range []string{"in/d/sub", "out/sub"} {
		tr.must(os.MkdirAll(filepath.Join(base, dir), 0o755))
	}
	tr.fill()
	for _, file := range []string{"out/f", "out/sub/f"} {
		tr.must(os.WriteFile(filepath.Join(base, file), []byte("secret"), 0o644))
	}
	root, err := hostfs.OpenRoot(tr.base)
	tr.must(err)
	t.Cleanup(func() { root.Close() })
	tr.root = root
	return tr
}

// fill makes the files that operations use up.
func (tr *trap) fill() {
	for _, file := range []string{"d/f", "d/sub/f", "x"} {
		if err := os.WriteFile(filepath.Join(tr.base, file), []byte("inside"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
			tr.Fatal(err)
		}
	}
}

func (tr *trap) must(err error) {
	tr.Helper()
	if err != nil {
		tr.Fatal(err)
	}
}

// untouched checks the directory outside.
func (tr *trap) untouched(what string) {
	tr.Helper()
	var names []string
	err := filepath.Walk(tr.outside, func(p string, info fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		names = append(names, filepath.Base(p))
		if info.Mode().IsRegular() {
			if p, err := os.ReadFile(p); err != nil || string(p) != "secret" {
				tr.Errorf("%s: a file outside holds %q, %v", what, p, err)
			}
		}
		if info.Mode().Perm() != 0o755 && info.Mode().Perm() != 0o644 || info.ModTime().Unix() == 1 {
			tr.Errorf("%s: %s has changed: %v", what, p, info.Mode())
		}
		return nil
	})
	if len(names) != 4 || err != nil {
		tr.Errorf("%s: outside are %q, %v", what, names, err)
	}
}

// operations are all that change something, on a path.
var operations = map[string]func(r *hostfs.Root, path string) error{
	"create": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(d hostfs.Dir, name string) error {
			f, err := d.Create(name+"new", 0o600)
			if err != nil {
				return err
			}
			return errors.Join(f.Close(), d.Unlink(name+"new"))
		})
	},
	"write": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(d hostfs.Dir, name string) error {
			f, err := d.OpenFile(name)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("overwritten"), 0)
			return errors.Join(err, f.Close())
		})
	},
	"attributes": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(d hostfs.Dir, name string) error {
			n, err := d.OpenNode(name)
			if err != nil {
				return err
			}
			return errors.Join(n.SetMode(0o600), n.SetTimes(1e9, 1e9), n.Close())
		})
	},
	"unlink": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(d hostfs.Dir, name string) error { return d.Unlink(name) })
	},
	"mkdir": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(d hostfs.Dir, name string) error {
			return errors.Join(d.Mkdir(name+"dir", 0o700), d.Rmdir(name+"dir"))
		})
	},
	"rename in": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(to hostfs.Dir, name string) error {
			return hostfs.InDir(r, "x", func(d hostfs.Dir, x string) error { return d.Rename(x, to, name+"moved", hostfs.NoReplace) })
		})
	},
	"rename out": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(d hostfs.Dir, name string) error {
			return hostfs.InDir(r, "x", func(to hostfs.Dir, x string) error { return d.Rename(name, to, x, hostfs.Exchange) })
		})
	},
	"link": func(r *hostfs.Root, p string) error {
		return hostfs.InDir(r, p, func(to hostfs.Dir, name string) error {
			return hostfs.InDir(r, "x", func(d hostfs.Dir, x string) error { return d.Link(x, to, name+"link") })
		})
	},
}

// With a link where a directory was, no change reaches what it leads to.
func TestChangesFollowNoLink(t *testing.T) {
	for what, do := range operations {
		for _, path := range []string{"d/f", "d/sub/f"} {
			tr := newTrap(t)
			tr.must(os.Rename(filepath.Join(tr.base, "d"), filepath.Join(tr.base, "away")))
			tr.must(os.Symlink(tr.outside, filepath.Join(tr.base, "d")))
			if err := do(tr.root, path); err == nil {
				t.Errorf("%s of %s went through a link", what, path)
			}
			tr.untouched(what)
		}
		tr := newTrap(t)
		tr.must(os.Remove(filepath.Join(tr.base, "d/f")))
		tr.must(os.Symlink(filepath.Join(tr.outside, "f"), filepath.Join(tr.base, "d/f")))
		do(tr.root, "d/f") // works on the link itself, or not at all
		tr.untouched(what + " of a link")
	}
}

// A program that swaps directories for links all the time leads no change out.
func TestChangesRaceWithLinks(t *testing.T) {
	tr := newTrap(t)
	stop, stopped := make(chan bool), make(chan bool)
	tr.must(os.Symlink(tr.outside, filepath.Join(tr.base, "link")))
	go func() {
		defer close(stopped)
		d, err := tr.root.OpenDir(".")
		if err != nil {
			t.Error(err)
			return
		}
		defer d.Close()
		for {
			select {
			case <-stop:
				return
			default:
				if err := d.Rename("d", d, "link", hostfs.Exchange); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	rounds := 50
	if os.Getenv("FATKIT_LONG") != "" {
		rounds = 20_000
	}
	for range rounds {
		for _, do := range operations {
			do(tr.root, "d/f")
			do(tr.root, "d/sub/f")
		}
		tr.fillRacing()
	}
	close(stop)
	<-stopped
	tr.untouched("after the race")
}

// fillRacing is fill through the confined interface, as the path may be a link.
func (tr *trap) fillRacing() {
	for _, file := range []string{"d/f", "d/sub/f", "x"} {
		hostfs.InDir(tr.root, file, func(d hostfs.Dir, name string) error {
			d.Unlink(name + "moved")
			d.Unlink(name + "link")
			f, err := d.Create(name, 0o644)
			if err != nil {
				return err
			}
			return f.Close()
		})
	}
}
