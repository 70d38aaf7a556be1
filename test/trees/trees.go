// Package trees makes the directory trees that tests and benchmarks turn into
// disks: large ones, unpleasant ones and random ones.
//
// A [Tree] is a list of nodes, a value without contents; [Tree.Write] makes it
// on the host. The bytes of a file follow from its seed alone ([Fill]), so any
// range of any file can be checked without keeping a copy, and the same tree
// is the same everywhere.
package trees

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	File Kind = iota
	Dir
	Symlink
	Socket
	FIFO
)

// Node is one file, directory or special file.
type Node struct {
	Path    string // slash-separated, relative to the root of the tree
	Kind    Kind
	Size    int64       // bytes of a file
	Seed    uint64      // determines the bytes of a file
	Mode    os.FileMode // permissions; 0 means 0644, or 0755 for a directory
	ModTime time.Time   // zero means [BaseTime]
	Target  string      // of a symbolic link
}

// Tree is a list of nodes. Directories that only occur in paths need no node.
type Tree []Node

// BaseTime is the modification time of nodes that do not name one.
var BaseTime = time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)

// writeBytes is how much of a file is generated at a time.
const writeBytes = 256 << 10

// Fill sets p to the bytes of a file with a seed from offset off, which is a
// multiple of 8.
func Fill(p []byte, seed uint64, off int64) {
	i := uint64(off) / 8
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, mix(seed+i*0x9E3779B97F4A7C15))
		i++
	}
	if len(p) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], mix(seed+i*0x9E3779B97F4A7C15))
		copy(p, last[:])
	}
}

// mix is the finalizer of a 64-bit hash: every bit of the input changes about
// half of the bits of the output.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// Bytes returns the contents of a file.
func (n Node) Bytes() []byte {
	p := make([]byte, n.Size)
	Fill(p, n.Seed, 0)
	return p
}

// Files returns the number of files and their bytes.
func (t Tree) Files() (count int, bytes int64) {
	for _, n := range t {
		if n.Kind == File {
			count, bytes = count+1, bytes+n.Size
		}
	}
	return count, bytes
}

// Write makes the tree below dir, which is created. A node that this host
// cannot hold, such as a name that is no UTF-8 on macOS or the second of two
// case twins, is left out and returned.
func (t Tree) Write(dir string) (left []Node, err error) {
	w := writer{dir: dir, made: map[string]bool{}, explicit: map[string]Node{}}
	for _, n := range t {
		if n.Kind == Dir {
			w.explicit[n.Path] = n
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, n := range t {
		err := w.node(n)
		if errors.Is(err, errHost) {
			left = append(left, n)
		} else if err != nil {
			return left, err
		}
	}
	// Times of directories last: making what they hold changes them.
	for i := len(w.dirs) - 1; i >= 0; i-- {
		n := w.dirs[i]
		if err := os.Chtimes(w.path(n), n.ModTime, n.ModTime); err != nil {
			return left, err
		}
		if n.Mode != 0 {
			if err := os.Chmod(w.path(n), n.Mode); err != nil {
				return left, err
			}
		}
	}
	return left, nil
}

// errHost says that this host cannot hold a node.
var errHost = errors.New("the host cannot hold it")

type writer struct {
	dir      string
	explicit map[string]Node // directories that have a node
	made     map[string]bool // directories that exist
	dirs     []Node          // directories whose times are still to be set
	buf      [writeBytes]byte
}

func (w *writer) path(n Node) string { return filepath.Join(w.dir, filepath.FromSlash(n.Path)) }

// mkdirs makes the directory and those above it.
func (w *writer) mkdirs(dir string) error {
	if dir == "." || w.made[dir] {
		return nil
	}
	if err := w.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	w.made[dir] = true
	n, ok := w.explicit[dir]
	if !ok {
		n = Node{Path: dir, Kind: Dir}
	}
	if n.ModTime.IsZero() {
		n.ModTime = BaseTime
	}
	if err := os.MkdirAll(w.path(n), 0o755); err != nil {
		return errors.Join(errHost, err)
	}
	w.dirs = append(w.dirs, n)
	return nil
}

// node makes one node.
func (w *writer) node(n Node) error {
	if n.ModTime.IsZero() {
		n.ModTime = BaseTime
	}
	if n.Kind == Dir {
		return w.mkdirs(n.Path)
	}
	if err := w.mkdirs(path.Dir(n.Path)); err != nil {
		return err
	}
	switch n.Kind {
	case Symlink:
		return os.Symlink(n.Target, w.path(n))
	case Socket, FIFO:
		return makeSpecial(w.path(n), n.Kind)
	case File:
		return w.file(n)
	}
	return fmt.Errorf("trees: %q: unknown kind %d", n.Path, n.Kind)
}

// file writes a file that must not exist: on a host that takes two names for
// one, the second is left out.
func (w *writer) file(n Node) error {
	f, err := os.OpenFile(w.path(n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return errors.Join(errHost, err)
	}
	for off := int64(0); off < n.Size && err == nil; off += writeBytes {
		p := w.buf[:min(writeBytes, n.Size-off)]
		Fill(p, n.Seed, off)
		_, err = f.Write(p)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n.Mode != 0 {
		if err := os.Chmod(w.path(n), n.Mode); err != nil {
			return err
		}
	}
	return os.Chtimes(w.path(n), n.ModTime, n.ModTime)
}
