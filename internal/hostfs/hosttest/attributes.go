package hosttest

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/fatkit/fatkit/internal/hostfs"
)

func attributes(h *host) {
	h.put(h.root, "a", "A")
	h.must(h.root.Mkdir("d", 0o755))
	for _, name := range []string{"a", "d"} {
		n, err := h.root.OpenNode(name)
		h.must(err)
		h.must(n.SetTimes(hostfs.NoTime, 1_000_000_001))
		h.must(n.SetTimes(2_000_000_002, hostfs.NoTime))
		h.must(n.SetMode(0o500 | fs.ModeSticky))
		id, err := n.Identity()
		h.must(err)
		if id.Mtime != 1_000_000_001 || id.Atime != 2_000_000_002 || id.Mode&^fs.ModeDir != 0o500|fs.ModeSticky {
			h.Errorf("%s is %+v", name, id)
		}
		h.must(n.SetOwner(id.UID, id.GID))
		h.must(n.SetMode(0o755))
		h.must(n.Sync())
		h.must(n.Close())
	}
	if id := h.lookup(h.root, "a"); id.Mtime != 1_000_000_001 {
		h.Error("a mode changed the time of the contents")
	}
}

func xattrs(h *host) {
	h.put(h.root, "a", "A")
	n, err := h.root.OpenNode("a")
	h.must(err)
	defer n.Close()
	if err := n.SetXattr("user.fatkit.x", []byte("1")); errors.Is(err, errors.ErrUnsupported) {
		h.Skip("no attributes of users on this file system")
	}
	h.must(n.SetXattr("user.fatkit.y", make([]byte, 2000)))
	got, err := n.Xattrs()
	h.must(err)
	slices.Sort(got)
	if !slices.Equal(slices.DeleteFunc(got, func(s string) bool { return s[:5] != "user." }), []string{"user.fatkit.x", "user.fatkit.y"}) {
		h.Errorf("names %q", got)
	}
	if v, err := n.Xattr("user.fatkit.x"); string(v) != "1" || err != nil {
		h.Errorf("%q, %v", v, err)
	}
	if v, err := n.Xattr("user.fatkit.y"); len(v) != 2000 || err != nil {
		h.Errorf("%d bytes, %v", len(v), err)
	}
	h.must(n.RemoveXattr("user.fatkit.x"))
	h.must(n.RemoveXattr("user.fatkit.x"))
	_, err = n.Xattr("user.fatkit.x")
	h.want(err, hostfs.ErrNoXattr, "an attribute that was removed")
}

func copyAttributes(h *host) {
	h.put(h.root, "a", "A")
	h.put(h.root, "b", "B")
	a, err := h.root.OpenNode("a")
	h.must(err)
	defer a.Close()
	b, err := h.root.OpenFile("b")
	h.must(err)
	defer b.Close()
	err = a.SetXattr("user.fatkit.x", []byte("1"))
	withXattr := err == nil
	h.must(a.SetMode(0o640 | fs.ModeSetuid))
	h.must(hostfs.CopyAttributes(b, a))
	id, err := b.Identity()
	h.must(err)
	if id.Mode != 0o640 {
		h.Errorf("mode %v", id.Mode)
	}
	if v, err := b.Xattr("user.fatkit.x"); withXattr && (err != nil || string(v) != "1") {
		h.Errorf("attribute %q, %v", v, err)
	}
}

func inherit(h *host) {
	parent := h.dir(h.root, "p")
	h.must(parent.SetMode(0o755 | fs.ModeSetgid))
	stage := h.dir(h.root, "s")
	d := h.dir(stage, "d")
	h.must(hostfs.InheritAttributes(d, parent))
	id, err := d.Identity()
	h.must(err)
	if id.Mode&fs.ModeSetgid == 0 {
		h.Errorf("mode %v", id.Mode)
	}
}

func identity(h *host) {
	h.put(h.root, "a", "A")
	h.put(h.root, "b", "A")
	a, b := h.lookup(h.root, "a"), h.lookup(h.root, "b")
	if a.Same(b) || !a.Same(a) {
		h.Error("identities do not tell files apart")
	}
	f, err := h.root.OpenFile("a")
	h.must(err)
	defer f.Close()
	open, err := f.Identity()
	h.must(err)
	if !open.Same(a) || !open.SameContent(a) || open.FSID != a.FSID || open.Ctime != a.Ctime {
		h.Errorf("open %+v, by name %+v", open, a)
	}
	_, err = f.WriteAt([]byte("BB"), 0)
	h.must(err)
	open, err = f.Identity()
	h.must(err)
	if !open.Same(a) || open.SameContent(a) {
		h.Error("a write was not seen")
	}
}

// Nothing but a single name is taken for a name.
func names(h *host) {
	h.put(h.root, "a", "A")
	d := h.dir(h.root, "d")
	h.put(d, "f", "F")
	for _, name := range []string{"", ".", "..", "d/f", "/a", "d/", "a\x00", "../a", "./a"} {
		_, errLookup := h.root.Lookup(name)
		_, errCreate := h.root.Create(name, 0o644)
		_, errOpen := h.root.Open(name)
		_, errNode := h.root.OpenNode(name)
		_, errFile := h.root.OpenFile(name)
		_, errDir := h.root.OpenDir(name)
		for what, err := range map[string]error{
			"lookup": errLookup, "create": errCreate, "open": errOpen, "open node": errNode, "open file": errFile, "open dir": errDir,
			"mkdir": h.root.Mkdir(name, 0o755), "rmdir": h.root.Rmdir(name), "unlink": h.root.Unlink(name),
			"rename": h.root.Rename(name, d, "x", hostfs.NoReplace), "rename to": h.root.Rename("a", d, name, hostfs.NoReplace),
			"link": h.root.Link(name, d, "x"), "link to": h.root.Link("a", d, name),
		} {
			if !errors.Is(err, fs.ErrInvalid) {
				h.Errorf("%s of %q: %v", what, name, err)
			}
		}
	}
	h.holds(h.root, "a", "A")
}

func list(h *host) {
	d := h.dir(h.root, "d")
	for _, name := range []string{"x", "y", "ä\xff"} {
		h.put(d, name, name)
	}
	h.must(d.Mkdir("z", 0o755))
	for range 2 {
		if got := h.listing(d); !slices.Equal(got, []string{"x", "y", "z", "ä\xff"}) {
			h.Errorf("%q", got)
		}
	}
	var l hostfs.Listing
	h.must(h.w.ReadDir("d", &l))
	if len(l.Entries) != 4 {
		h.Errorf("%d entries", len(l.Entries))
	}
}

func lease(h *host) {
	h.put(h.root, "a", "A")
	f, err := h.root.OpenFile("a")
	h.must(err)
	err = f.Lease()
	if errors.Is(err, errors.ErrUnsupported) {
		f.Close()
		h.Skip("no leases here")
	}
	h.must(err)
	if !f.Leased() {
		h.Error("the lease does not hold")
	}
	h.must(f.Release())
	other, err := h.root.Open("a")
	h.must(err)
	h.want(f.Lease(), hostfs.ErrInUse, "a lease on a file that is open elsewhere")
	h.must(f.Close())
	h.must(other.Close())

	n, err := h.root.OpenNode("a")
	h.must(err)
	defer n.Close()
	reader, err := h.root.Open("a")
	h.must(err)
	h.must(n.Lease()) // readers do not hinder it
	h.must(n.Release())
	h.must(reader.Close())
	writer, err := h.root.OpenFile("a")
	h.must(err)
	h.want(n.Lease(), hostfs.ErrInUse, "a lease on a file that is being written")
	h.must(writer.Close())
}

func probe(h *host) {
	f, err := hostfs.Probe(h.root)
	h.must(err)
	h.Logf("%+v", f)
	if !f.NoReplace || !f.Exchange {
		h.Errorf("this host could not be written to: %+v", f)
	}
	if got := h.listing(h.root); len(got) > 0 {
		h.Errorf("left over: %q", got)
	}
}

func sync(h *host) {
	h.put(h.root, "a", "A")
	h.must(h.root.Sync())
	h.must(h.w.SyncFS())
	u, err := h.w.Usage()
	h.must(err)
	if u.FreeBytes <= 0 || u.NameBytes < 255 {
		h.Errorf("%+v", u)
	}
	if id := h.lookup(h.root, "a"); id.FSID != u.FSID {
		h.Errorf("file system %x and %x", id.FSID, u.FSID)
	}
}
