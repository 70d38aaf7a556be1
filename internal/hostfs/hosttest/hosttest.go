// Package hosttest is the conformance suite of hostfs.Writable. [Run] holds any
// implementation to what the interface promises, so that the twin with which
// crashes are simulated and the real host cannot drift apart.
package hosttest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Run tests trees that open makes. Each is empty and belongs to one test.
func Run(t *testing.T, open func(t testing.TB) hostfs.Writable) {
	for name, test := range map[string]func(h *host){
		"create": create, "write": write, "truncate": truncate, "reserve": reserve,
		"rename": rename, "exchange": exchange, "renameDir": renameDir, "renameOpen": renameOpen,
		"unlink": unlink, "rmdir": rmdir, "link": link, "clone": clone,
		"attributes": attributes, "xattrs": xattrs, "copyAttributes": copyAttributes, "inherit": inherit,
		"identity": identity, "names": names, "list": list, "lease": lease, "probe": probe, "sync": sync,
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			root, err := w.OpenDir(".")
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			test(&host{TB: t, w: w, root: root})
		})
	}
}

// host is one tree under test.
type host struct {
	testing.TB
	w    hostfs.Writable
	root hostfs.Dir
}

// must fails the test on an error.
func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// want fails the test unless err matches target.
func (h *host) want(err, target error, what string) {
	h.Helper()
	if !errors.Is(err, target) {
		h.Errorf("%s: %v; want %v", what, err, target)
	}
}

// put makes a file.
func (h *host) put(d hostfs.Dir, name, content string) {
	h.Helper()
	f, err := d.Create(name, 0o644)
	h.must(err)
	_, err = f.WriteAt([]byte(content), 0)
	h.must(err)
	h.must(f.Close())
}

// get returns what a file holds, or what is wrong.
func (h *host) get(d hostfs.Dir, name string) string {
	h.Helper()
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "nothing"
	}
	h.must(err)
	defer f.Close()
	st, err := f.Stat()
	h.must(err)
	p := make([]byte, st.Size)
	if n, err := f.ReadAt(p, 0); n < len(p) {
		h.Fatal(err)
	}
	return string(p)
}

// holds checks pairs of a name and its contents.
func (h *host) holds(d hostfs.Dir, pairs ...string) {
	h.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := h.get(d, pairs[i]); got != pairs[i+1] {
			h.Errorf("%s holds %q, not %q", pairs[i], got, pairs[i+1])
		}
	}
}

func (h *host) lookup(d hostfs.Dir, name string) hostfs.Identity {
	h.Helper()
	id, err := d.Lookup(name)
	h.must(err)
	return id
}

// dir makes and opens a directory.
func (h *host) dir(d hostfs.Dir, name string) hostfs.Dir {
	h.Helper()
	h.must(d.Mkdir(name, 0o755))
	sub, err := d.OpenDir(name)
	h.must(err)
	h.Cleanup(func() { sub.Close() })
	return sub
}

func (h *host) listing(d hostfs.Dir) []string {
	h.Helper()
	var l hostfs.Listing
	h.must(d.List(&l))
	var out []string
	for i := range l.Entries {
		out = append(out, string(l.NameOf(&l.Entries[i])))
	}
	slices.Sort(out)
	return out
}

func create(h *host) {
	h.put(h.root, "a", "one")
	_, err := h.root.Create("a", 0o644)
	h.want(err, fs.ErrExist, "create over a file")
	h.must(h.root.Mkdir("d", 0o755))
	_, err = h.root.Create("d", 0o644)
	h.want(err, fs.ErrExist, "create over a directory")
	h.want(h.root.Mkdir("a", 0o755), fs.ErrExist, "mkdir over a file")
	_, err = h.root.OpenFile("d")
	if err == nil {
		h.Error("a directory was opened as a file")
	}
	_, err = h.root.OpenDir("a")
	if err == nil {
		h.Error("a file was opened as a directory")
	}
	_, err = h.root.OpenFile("none")
	h.want(err, fs.ErrNotExist, "open of nothing")
	h.holds(h.root, "a", "one")
}

func write(h *host) {
	f, err := h.root.Create("a", 0o644)
	h.must(err)
	defer f.Close()
	_, err = f.WriteAt([]byte("tail"), 5000)
	h.must(err)
	_, err = f.WriteAt([]byte("head"), 0)
	h.must(err)
	want := append(append([]byte("head"), make([]byte, 4996)...), "tail"...)
	got := make([]byte, 6000)
	n, err := f.ReadAt(got, 0)
	if !bytes.Equal(got[:n], want) || err != io.EOF {
		h.Errorf("%d bytes, %v", n, err)
	}
	if id, err := f.Identity(); err != nil || id.Size != 5004 {
		h.Errorf("size %d, %v", id.Size, err)
	}
}

func truncate(h *host) {
	h.put(h.root, "a", "0123456789")
	f, err := h.root.OpenFile("a")
	h.must(err)
	defer f.Close()
	h.must(f.Truncate(4))
	h.must(f.Truncate(6))
	h.holds(h.root, "a", "0123\x00\x00")
}

func reserve(h *host) {
	h.put(h.root, "a", "0123456789")
	f, err := h.root.OpenFile("a")
	h.must(err)
	defer f.Close()
	h.must(f.Reserve(4, 10))
	h.must(f.SyncData())
	h.holds(h.root, "a", "0123456789\x00\x00\x00\x00")
}

func rename(h *host) {
	h.put(h.root, "a", "A")
	h.put(h.root, "b", "B")
	sub := h.dir(h.root, "sub")
	before := h.lookup(h.root, "a")
	h.want(h.root.Rename("a", h.root, "b", hostfs.NoReplace), fs.ErrExist, "rename to a name that is taken")
	h.want(h.root.Rename("none", h.root, "c", hostfs.NoReplace), fs.ErrNotExist, "rename of nothing")
	h.holds(h.root, "a", "A", "b", "B")
	h.must(h.root.Rename("a", sub, "c", hostfs.NoReplace))
	h.holds(h.root, "a", "nothing")
	h.holds(sub, "c", "A")
	if after := h.lookup(sub, "c"); !after.Same(before) || !after.SameContent(before) {
		h.Errorf("a rename made %+v of %+v", after, before)
	}
	h.must(sub.Rename("c", h.root, "b", hostfs.Replace))
	h.holds(h.root, "b", "A")
}

func exchange(h *host) {
	h.put(h.root, "a", "A")
	sub := h.dir(h.root, "sub")
	h.want(h.root.Rename("a", sub, "b", hostfs.Exchange), fs.ErrNotExist, "exchange with nothing")
	h.put(sub, "b", "B")
	h.must(h.root.Rename("a", sub, "b", hostfs.Exchange))
	h.holds(h.root, "a", "B")
	h.holds(sub, "b", "A")
	h.must(h.root.Mkdir("d", 0o755))
	h.must(h.root.Rename("a", h.root, "d", hostfs.Exchange))
	h.holds(h.root, "d", "B")
	if !h.lookup(h.root, "a").Mode.IsDir() {
		h.Error("a directory was not exchanged")
	}
}

func renameDir(h *host) {
	d := h.dir(h.root, "d")
	h.put(d, "f", "F")
	h.must(h.root.Mkdir("e", 0o755))
	if err := h.root.Rename("d", d, "below", hostfs.NoReplace); err == nil {
		h.Error("a directory was moved below itself")
	}
	h.want(h.root.Rename("d", h.root, "e", hostfs.NoReplace), fs.ErrExist, "rename to a directory that is there")
	h.must(h.root.Rename("d", h.root, "g", hostfs.NoReplace))
	f, st, err := h.w.Open("g/f")
	h.must(err)
	h.must(f.Close())
	if st.Size != 1 {
		h.Errorf("size %d", st.Size)
	}
}

// An open directory or file stays what it is when it is moved.
func renameOpen(h *host) {
	d := h.dir(h.root, "d")
	f, err := d.Create("f", 0o644)
	h.must(err)
	defer f.Close()
	h.must(h.root.Rename("d", h.root, "e", hostfs.NoReplace))
	h.must(h.root.Mkdir("d", 0o755))
	h.put(d, "g", "G")
	_, err = f.WriteAt([]byte("F"), 0)
	h.must(err)
	e, err := h.w.OpenDir("e")
	h.must(err)
	defer e.Close()
	h.holds(e, "f", "F", "g", "G")
}

func unlink(h *host) {
	h.put(h.root, "a", "A")
	f, err := h.root.OpenFile("a")
	h.must(err)
	defer f.Close()
	h.must(h.root.Unlink("a"))
	h.want(h.root.Unlink("a"), fs.ErrNotExist, "unlink of nothing")
	if id, err := f.Identity(); err != nil || id.Nlink != 0 {
		h.Errorf("an open file has %d names, %v", id.Nlink, err)
	}
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, 0); err != nil || p[0] != 'A' {
		h.Errorf("an open file without a name reads %q, %v", p, err)
	}
	h.must(h.root.Mkdir("d", 0o755))
	if err := h.root.Unlink("d"); err == nil {
		h.Error("a directory was unlinked")
	}
}

func rmdir(h *host) {
	d := h.dir(h.root, "d")
	h.put(d, "f", "F")
	h.want(h.root.Rmdir("d"), hostfs.ErrNotEmpty, "rmdir of a full directory")
	h.must(d.Unlink("f"))
	h.must(h.root.Rmdir("d"))
	h.want(h.root.Rmdir("d"), fs.ErrNotExist, "rmdir of nothing")
	h.put(h.root, "f", "F")
	if err := h.root.Rmdir("f"); err == nil {
		h.Error("a file was removed as a directory")
	}
	if _, err := d.Create("g", 0o644); err == nil {
		h.Error("a file was made in a removed directory")
	}
}

func link(h *host) {
	h.put(h.root, "a", "A")
	sub := h.dir(h.root, "sub")
	h.must(h.root.Link("a", sub, "b"))
	h.want(h.root.Link("a", sub, "b"), fs.ErrExist, "link to a name that is taken")
	a, b := h.lookup(h.root, "a"), h.lookup(sub, "b")
	if !a.Same(b) || a.Nlink != 2 {
		h.Errorf("%+v and %+v", a, b)
	}
	h.must(h.root.Unlink("a"))
	h.holds(sub, "b", "A")
}

func clone(h *host) {
	content := string(bytes.Repeat([]byte("0123456789"), 700))
	h.put(h.root, "a", content)
	src, err := h.root.Open("a")
	h.must(err)
	defer src.Close()
	dst, err := h.root.Create("b", 0o600)
	h.must(err)
	_, err = dst.CloneFrom(src)
	h.must(err)
	_, err = dst.WriteAt([]byte("x"), 0)
	h.must(err)
	h.must(dst.Close())
	h.holds(h.root, "a", content, "b", "x"+content[1:])
}
