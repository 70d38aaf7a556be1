package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Options tune Open.
type Options struct {
	// Path is the state folder; "" is the usual place for the tree.
	Path string
	// Home is the folder of the registry and of the usual places; "" is
	// DefaultHome.
	Home string
	// Elsewhere lets unapplied changes in another state folder be.
	Elsewhere bool
}

// ErrLocked says that another server uses the directory or the state folder.
var ErrLocked = errors.New("another server writes to it")

// ElsewhereError says that changes of the directory that have not arrived are in
// another state folder.
type ElsewhereError struct {
	Tree  string // the directory
	State string // where they are
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("%s: changes that guests made to it are still in %s: serve it with --state %s to apply them, or with --state %s --fresh to archive them",
		e.Tree, e.State, e.State, e.State)
}

// Dir is the state folder of a directory on the host, locked for one server.
type Dir struct {
	*Store
	path  string
	root  *hostfs.Root
	locks []*os.File
}

// treeInfo says which directory a state folder belongs to.
type treeInfo struct {
	Path  string `json:"path"`
	Ino   uint64 `json:"inode"`
	Btime int64  `json:"birth,omitempty"` // nanoseconds since 1970; 0 if the host does not know
}

// same reports whether two descriptions are of the same inode.
func (a treeInfo) same(b treeInfo) bool {
	return a.Ino == b.Ino && (a.Btime == b.Btime || a.Btime == 0 || b.Btime == 0)
}

// DefaultHome returns the folder for state of the user: fatkit in
// $XDG_STATE_HOME, which is ~/.local/state if it is not set.
func DefaultHome() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fatkit"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: --state says where to keep what guests write", err)
	}
	return filepath.Join(home, ".local", "state", "fatkit"), nil
}

// Open opens the state folder of the directory tree, and makes it if it is not
// there. It locks both. An error matches ErrLocked if another server has one of
// them, or is an *ElsewhereError.
func Open(tree string, o Options) (*Dir, error) {
	real, info, err := describe(tree)
	if err != nil {
		return nil, err
	}
	home := o.Home
	if home == "" {
		if home, err = DefaultHome(); err != nil {
			return nil, err
		}
	}
	path := o.Path
	if path == "" {
		path = usualPlace(home, real)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if path == real || strings.HasPrefix(path, strings.TrimSuffix(real, "/")+"/") {
		return nil, fmt.Errorf("%s: the state folder cannot lie within %s, which guests see", path, real)
	}
	d := &Dir{path: path}
	if err := d.open(real, info, home, o.Elsewhere); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// describe returns the real path of a directory and what tells it from others.
func describe(tree string) (string, treeInfo, error) {
	abs, err := filepath.Abs(tree)
	if err != nil {
		return "", treeInfo{}, err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", treeInfo{}, err
	}
	root, err := hostfs.OpenRoot(real)
	if err != nil {
		return "", treeInfo{}, err
	}
	defer root.Close()
	st, err := root.Stat(".")
	if err != nil {
		return "", treeInfo{}, err
	}
	info := treeInfo{Path: real, Ino: st.Ino}
	if st.Btime != hostfs.NoTime {
		info.Btime = st.Btime
	}
	return real, info, nil
}

// usualPlace returns the state folder of a directory when nobody names one.
func usualPlace(home, real string) string {
	sum := sha256.Sum256([]byte(real))
	name := filepath.Base(real)
	if name == string(filepath.Separator) {
		name = "root"
	}
	if len(name) > 64 {
		name = name[:64]
	}
	return filepath.Join(home, name+"-"+hex.EncodeToString(sum[:6]))
}

// open does the work of Open. The caller closes d after an error.
func (d *Dir) open(real string, info treeInfo, home string, elsewhere bool) error {
	for _, lock := range []struct {
		path string
		dir  bool
	}{{real, true}, {filepath.Join(d.path, lockName), false}} {
		f, err := lockFile(lock.path, lock.dir)
		if err != nil {
			return err
		}
		d.locks = append(d.locks, f)
	}
	var err error
	if d.root, err = hostfs.OpenRoot(d.path); err != nil {
		return err
	}
	d.Store = NewStore(d.root)
	if err := d.belong(info); err != nil {
		return err
	}
	if !elsewhere {
		if err := d.checkRegistry(home, info); err != nil {
			return err
		}
	}
	return d.register(home, info)
}

// belong makes the folder that of the directory, unless it holds changes of
// another one.
func (d *Dir) belong(info treeInfo) error {
	var old treeInfo
	p, err := readSmall(d.w, treeName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(p, &old); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(d.path, treeName), err)
		}
		if old.same(info) && old.Path == info.Path {
			return nil
		}
		waiting, err := d.unapplied()
		if err != nil {
			return err
		}
		if waiting && !old.same(info) {
			return fmt.Errorf("%s: it holds changes of another directory, %s: give --state another folder, or move this one away", d.path, describeOld(old, info))
		}
	}
	return d.inRoot(func(root hostfs.Dir) error { return replaceJSON(root, treeName, info) })
}

func describeOld(old, now treeInfo) string {
	if old.Path == now.Path {
		return "which was at " + old.Path + " before"
	}
	return old.Path
}

// unapplied reports whether there is a generation that is not settled.
func (s *Store) unapplied() (bool, error) {
	g, err := s.Current()
	if err != nil || g == nil {
		return false, err
	}
	settled, err := g.Settled()
	return !settled, err
}

// Path returns the absolute path of the state folder.
func (d *Dir) Path() string { return d.path }

// Join returns the absolute path of a file in the state folder, given by its
// path within it.
func (d *Dir) Join(path string) string { return filepath.Join(d.path, filepath.FromSlash(path)) }

// Close gives the folder and its directory free.
func (d *Dir) Close() error {
	var errs []error
	if d.root != nil {
		errs = append(errs, d.root.Close())
	}
	for _, f := range d.locks {
		errs = append(errs, f.Close())
	}
	d.root, d.locks = nil, nil
	return errors.Join(errs...)
}

// BootID returns what tells one run of the host from another, or "" where the
// host does not say.
func BootID() string {
	p, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(p))
}
