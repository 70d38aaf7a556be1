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

// registryName is the folder of the registry within the state home. It holds a
// file for each state folder, named by the hash of its path.
const registryName = "registry"

// entry is a file of the registry.
type entry struct {
	State string   `json:"state"`
	Tree  treeInfo `json:"tree"`
}

// register notes the state folder of a directory durably.
func (d *Dir) register(home string, info treeInfo) error {
	folder := filepath.Join(home, registryName)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	root, err := hostfs.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	sum := sha256.Sum256([]byte(d.path))
	name := hex.EncodeToString(sum[:8]) + ".json"
	want := entry{d.path, info}
	if p, err := readSmall(root, name); err == nil {
		var old entry
		if json.Unmarshal(p, &old) == nil && old == want {
			return nil
		}
	}
	return NewStore(root).inRoot(func(dir hostfs.Dir) error { return replaceJSON(dir, name, want) })
}

// checkRegistry returns an *ElsewhereError if another state folder holds changes
// of the directory that have not arrived: of the same inode, or of what was at
// its path.
func (d *Dir) checkRegistry(home string, info treeInfo) error {
	folder := filepath.Join(home, registryName)
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		p, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(p, &e); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(folder, f.Name()), err)
		}
		if e.State == d.path || !e.Tree.same(info) && e.Tree.Path != info.Path {
			continue
		}
		waiting, err := unappliedAt(e)
		if err != nil {
			return err
		}
		if waiting {
			return &ElsewhereError{info.Path, e.State}
		}
	}
	return nil
}

// unappliedAt reports whether a state folder of the registry still is that of the
// directory, and holds changes that have not arrived.
func unappliedAt(e entry) (bool, error) {
	root, err := hostfs.OpenRoot(e.State)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer root.Close()
	p, err := readSmall(root, treeName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var tree treeInfo
	if err == nil {
		err = json.Unmarshal(p, &tree)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", filepath.Join(e.State, treeName), err)
	}
	if !tree.same(e.Tree) {
		return false, nil // it is used for another directory by now
	}
	return NewStore(root).unapplied()
}
