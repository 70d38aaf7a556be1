// Package vfstest is the conformance suite of vfs.FS: a named map of cases
// that every writable tree passes, driven by [Run].
//
// It tests the contract in the documentation of package vfs, not how fast or
// how durable a tree is.
package vfstest

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// Options say what the tree under test can do. The zero value stands for a
// case-sensitive tree without attributes and links.
type Options struct {
	IgnoresCase bool          // two spellings are one name
	KeepsCase   bool          // and the spelling of the last rename is kept
	Attr        bool          // has DOS attributes
	TimeStep    time.Duration // granularity of the time of change; 0 means that it cannot be set
	OpenRemoved bool          // an open file that was removed stays usable
	// Settle, if not nil, is called with the tree after each case, to check
	// what is behind it.
	Settle func(t *testing.T, fsys vfs.FS)
}

// Env is what a case works on.
type Env struct {
	Options
	FS vfs.FS // empty at the start
}

// Cases are the cases by name.
var Cases = map[string]func(t *testing.T, e Env){}

// Run runs every case on a fresh, empty tree that make returns.
func Run(t *testing.T, make func(t *testing.T) vfs.FS, o Options) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(Cases)) {
		t.Run(name, func(t *testing.T) {
			fsys := make(t)
			Cases[name](t, Env{o, fsys})
			if o.Settle != nil && !t.Failed() {
				o.Settle(t, fsys)
			}
		})
	}
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails the test unless err is a *fs.PathError that matches want.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	var pe *fs.PathError
	if !errors.Is(err, want) {
		t.Fatalf("%s: error is %v, want %v", what, err, want)
	}
	if !errors.As(err, &pe) {
		t.Fatalf("%s: error %v is no *fs.PathError", what, err)
	}
}

// write makes a file.
func (e Env) write(t *testing.T, name, content string) {
	t.Helper()
	must(t, vfs.WriteFile(e.FS, name, []byte(content), 0o666))
}

// wantFile checks the content and the size of a file.
func (e Env) wantFile(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := fs.ReadFile(e.FS, name)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s holds %s, want %s", name, excerpt(got), excerpt(want))
	}
	fi, err := fs.Stat(e.FS, name)
	must(t, err)
	if fi.Size() != int64(len(want)) || fi.IsDir() {
		t.Fatalf("%s: Stat says %d bytes, directory %v; want %d bytes", name, fi.Size(), fi.IsDir(), len(want))
	}
}

// wantNames checks the names in a directory.
func (e Env) wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	list, err := fs.ReadDir(e.FS, dir)
	must(t, err)
	got := []string{}
	for _, d := range list {
		got = append(got, d.Name())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

// excerpt shows the start of p.
func excerpt(p []byte) string {
	if len(p) > 40 {
		return string(p[:40]) + "…"
	}
	return string(p)
}

// pattern returns n bytes that differ by place.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16) ^ seed
	}
	return p
}
