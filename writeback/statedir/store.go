package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Names within the state folder.
const (
	lockName    = "lock"
	treeName    = "tree.json"
	sessionName = "session.json"
	archiveName = "archive"
	asideName   = "aside"
	newSuffix   = ".new" // of files that take their place when they are durable
)

// maxSmallBytes bounds the small files that are read whole.
const maxSmallBytes = 64 << 20

// Store is the contents of a state folder. It is used by one goroutine at a
// time.
type Store struct {
	w hostfs.Writable
}

// NewStore returns the store in the folder w, which stays the caller's.
func NewStore(w hostfs.Writable) *Store { return &Store{w} }

// Folder returns the state folder.
func (s *Store) Folder() hostfs.Writable { return s.w }

// readSmall reads a small file of the folder. One that is not there matches
// fs.ErrNotExist.
func readSmall(w hostfs.FS, path string) ([]byte, error) {
	f, st, err := w.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st.Size > maxSmallBytes {
		return nil, fmt.Errorf("%s has %d bytes, more than any file of this name", path, st.Size)
	}
	p := make([]byte, st.Size)
	n, err := f.ReadAt(p, 0)
	if n == len(p) {
		err = nil
	}
	return p[:n], err
}

// replace makes the file name in d what fill writes, durably and in one step: a
// crash leaves the old file or the new one.
func replace(d hostfs.Dir, name string, fill func(io.Writer) error) error {
	tmp := name + newSuffix
	if err := d.Unlink(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(tmp, 0o600)
	if err != nil {
		return err
	}
	err = fill(io.NewOffsetWriter(f, 0))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.Rename(tmp, d, name, hostfs.Replace); err != nil {
		return err
	}
	return d.Sync()
}

// replaceJSON is replace with v in JSON.
func replaceJSON(d hostfs.Dir, name string, v any) error {
	p, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return replace(d, name, func(w io.Writer) error {
		_, err := w.Write(append(p, '\n'))
		return err
	})
}

// inRoot calls do with the open folder.
func (s *Store) inRoot(do func(d hostfs.Dir) error) error {
	d, err := s.w.OpenDir(".")
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.Close())
}

// session is the contents of session.json.
type session struct {
	Boot    string    `json:"boot"` // of the host that served last; "" if it does not say
	Open    bool      `json:"open"` // the server has not ended in order
	Started time.Time `json:"started"`
}

// Last is how the server before this one ended.
type Last struct {
	// Unclean says that it did not end in order: it was killed, or the host
	// failed.
	Unclean bool
	// Rebooted says that the host was started anew since. Then writes that
	// were answered and not flushed may be lost, and a client that lives
	// elsewhere does not know.
	Rebooted bool
}

// Enter notes durably that a server has the disk open, on a host with this boot
// identifier, and returns how the one before ended.
func (s *Store) Enter(boot string, now time.Time) (Last, error) {
	var old session
	p, err := readSmall(s.w, sessionName)
	if err == nil {
		err = json.Unmarshal(p, &old)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return Last{}, fmt.Errorf("%s: %w", sessionName, err)
	}
	last := Last{Unclean: old.Open, Rebooted: old.Open && old.Boot != boot}
	return last, s.inRoot(func(d hostfs.Dir) error {
		return replaceJSON(d, sessionName, session{Boot: boot, Open: true, Started: now.UTC()})
	})
}

// Leave notes durably that everything was flushed and the disk is closed.
func (s *Store) Leave(boot string, now time.Time) error {
	return s.inRoot(func(d hostfs.Dir) error {
		return replaceJSON(d, sessionName, session{Boot: boot, Started: now.UTC()})
	})
}

// list returns the names of the folder that begin with prefix, in order.
func (s *Store) list(prefix string) ([]string, error) {
	var l hostfs.Listing
	if err := s.w.ReadDir(".", &l); err != nil {
		return nil, err
	}
	var names []string
	for i := range l.Entries {
		if name := string(l.NameOf(&l.Entries[i])); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Archive moves all generations, and what lies in the aside folder for them,
// into a folder of their own, and returns its path within the state folder, or
// "" if there was nothing. The trash and saved conflicts stay where they are.
func (s *Store) Archive(now time.Time) (string, error) {
	gens, err := s.list(generationPrefix)
	if err != nil || len(gens) == 0 {
		return "", err
	}
	stamp := now.UTC().Format("2006-01-02T15-04-05Z")
	path := ""
	err = s.inRoot(func(root hostfs.Dir) error {
		archive, err := openOrMake(root, archiveName)
		if err != nil {
			return err
		}
		defer archive.Close()
		name, to, err := makeNew(archive, stamp)
		if err != nil {
			return err
		}
		path = archiveName + "/" + name
		defer to.Close()
		if err := errors.Join(to.Sync(), archive.Sync()); err != nil {
			return err
		}
		if err := moveAside(root, to); err != nil {
			return err
		}
		for _, name := range gens {
			if err := root.Rename(name, to, name, hostfs.NoReplace); err != nil {
				return err
			}
		}
		return errors.Join(to.Sync(), root.Sync())
	})
	return path, err
}

// makeNew makes a directory of d with a name, or with one beside it if that is
// taken, and opens it.
func makeNew(d hostfs.Dir, name string) (string, hostfs.Dir, error) {
	for n := 1; ; n++ {
		made := name
		if n > 1 {
			made = fmt.Sprintf("%s-%d", name, n)
		}
		err := d.Mkdir(made, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		to, err := d.OpenDir(made)
		return made, to, err
	}
}

// moveAside moves what a generation needs of the aside folder into its archive.
func moveAside(root, to hostfs.Dir) error {
	aside, err := root.OpenDir(asideName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer aside.Close()
	for _, name := range []string{KeptName, StageName} {
		err := aside.Rename(name, to, name, hostfs.NoReplace)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return aside.Sync()
}

// openOrMake opens a directory of d, and makes it if it is not there.
func openOrMake(d hostfs.Dir, name string) (hostfs.Dir, error) {
	err := d.Mkdir(name, 0o700)
	if err == nil {
		err = d.Sync()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.OpenDir(name)
}

// LoadJSON reads a file of the folder into v. One that is not there leaves v
// alone.
func (s *Store) LoadJSON(name string, v any) error {
	p, err := readSmall(s.w, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(p, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// SaveJSON makes a file of the folder hold v, durably and in one step.
func (s *Store) SaveJSON(name string, v any) error {
	return s.inRoot(func(d hostfs.Dir) error { return replaceJSON(d, name, v) })
}
