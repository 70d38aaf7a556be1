package statedir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Names within the folder of a generation.
const (
	generationPrefix = "generation-"
	manifestName     = "manifest"
	settledName      = "settled"
	numbersName      = "numbers.json" // in the state folder
	// OverlayName and JournalName are the names of the files of others.
	OverlayName = "overlay.qcow2"
	JournalName = "journal"
)

// Generation is the disk that is presented until it is settled and a new one
// begins.
type Generation struct {
	Number uint64
	s      *Store
	name   string
}

// Folder returns the generation's folder, relative to the state folder.
func (g *Generation) Folder() string { return g.name }

// Overlay and Journal return the paths of the files of others, relative to the
// state folder.
func (g *Generation) Overlay() string { return g.name + "/" + OverlayName }
func (g *Generation) Journal() string { return g.name + "/" + JournalName }

// Current returns the generation that counts, or nil if there is none.
func (s *Store) Current() (*Generation, error) {
	gens, err := s.generations()
	for i := len(gens) - 1; err == nil && i >= 0; i-- {
		_, err = s.w.Stat(gens[i].name + "/" + manifestName)
		if err == nil {
			return gens[i], nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return nil, err
}

// numbers is the contents of the file that outlives all generations. Names in
// the trash hold the number of a generation, so that none is used twice, also
// when the folder of that one is in the archive.
type numbers struct {
	Generation uint64 `json:"generation"` // the last one
}

// generations returns all generations, the oldest first, complete or not.
func (s *Store) generations() ([]*Generation, error) {
	names, err := s.list(generationPrefix)
	if err != nil {
		return nil, err
	}
	var gens []*Generation
	for _, name := range names {
		n, err := strconv.ParseUint(strings.TrimPrefix(name, generationPrefix), 10, 63)
		if err != nil || generationName(n) != name {
			return nil, fmt.Errorf("%s is in the state folder and none of its files", name)
		}
		gens = append(gens, &Generation{n, s, name})
	}
	return gens, nil
}

func generationName(n uint64) string { return fmt.Sprintf("%s%012d", generationPrefix, n) }

// Begin makes the next generation. prepare makes the files of others in its
// folder, given open and by its path within the state folder, and syncs them; then
// the manifest makes the generation count, durably. A crash before that leaves
// the old one.
func (s *Store) Begin(m *Manifest, prepare func(d hostfs.Dir, folder string) error) (*Generation, error) {
	gens, err := s.generations()
	if err != nil {
		return nil, err
	}
	var last numbers
	if err := s.LoadJSON(numbersName, &last); err != nil {
		return nil, err
	}
	g := &Generation{Number: last.Generation + 1, s: s}
	if n := len(gens); n > 0 {
		g.Number = max(g.Number, gens[n-1].Number+1)
	}
	g.name = generationName(g.Number)
	return g, s.inRoot(func(root hostfs.Dir) error {
		if err := replaceJSON(root, numbersName, numbers{g.Number}); err != nil {
			return err
		}
		d, err := openOrMake(root, g.name)
		if err != nil {
			return err
		}
		defer d.Close()
		if prepare != nil {
			if err := prepare(d, g.name); err != nil {
				return err
			}
		}
		if err := d.Sync(); err != nil {
			return err
		}
		return replace(d, manifestName, m.encode)
	})
}

// Manifest reads the manifest of the generation. Contents of the base come from
// tree, which stays the caller's.
func (g *Generation) Manifest(tree hostfs.FS) (*Manifest, error) {
	return LoadManifest(g.s.w, g.name+"/"+manifestName, tree)
}

// Settled reports whether everything that the guest wrote has been dealt with,
// and a new generation may begin.
func (g *Generation) Settled() (bool, error) {
	_, err := g.s.w.Stat(g.name + "/" + settledName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// SetSettled notes durably whether the generation is settled. It is not from
// before the first write that is answered on.
func (g *Generation) SetSettled(yes bool) error {
	d, err := g.s.w.OpenDir(g.name)
	if err != nil {
		return err
	}
	defer d.Close()
	if yes {
		return replace(d, settledName, func(io.Writer) error { return nil })
	}
	if err := d.Unlink(settledName); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return d.Sync()
}

// RemoveOld removes the folders of generations that do not count any more.
func (s *Store) RemoveOld() error {
	current, err := s.Current()
	if err != nil {
		return err
	}
	gens, err := s.generations()
	if err != nil {
		return err
	}
	return s.inRoot(func(root hostfs.Dir) error {
		for _, g := range gens {
			if current != nil && g.Number == current.Number {
				continue
			}
			if err := s.remove(root, g.name); err != nil {
				return err
			}
		}
		return root.Sync()
	})
}

// remove removes a folder of files, the manifest first: without it the rest is
// nothing.
func (s *Store) remove(root hostfs.Dir, name string) error {
	d, err := root.OpenDir(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Unlink(manifestName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	var l hostfs.Listing
	if err := d.List(&l); err != nil {
		return err
	}
	for i := range l.Entries {
		if err := d.Unlink(string(l.NameOf(&l.Entries[i]))); err != nil {
			return err
		}
	}
	return root.Rmdir(name)
}
