package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/vfs"
)

// edits is a run in which a guest and programs of the host change a tree beside each
// other, with a model of both and of what is between them.
type edits struct {
	w        *world
	rnd      *rand.Rand
	root     *object
	objects  []*object // without the root
	host     *inode
	expected []string // conflicts
	names    int

	removedDir bool // the guest has removed a directory since the last commit
	log        []string
}

func newEdits(t testing.TB, typ int, seed uint64) *edits {
	m := &edits{w: newWorld(t, typ, lowerFixture), rnd: rand.New(rand.NewPCG(seed, uint64(typ)))}
	m.host = newInode("", true)
	m.root = &object{dir: true, host: m.host, now: version{there: true}, was: version{there: true}}
	dirs := map[string]*object{".": m.root}
	names := make([]string, 0, len(lowerFixture))
	for name := range lowerFixture {
		for up := path.Dir(name); up != "." && !slices.Contains(names, up+"/"); up = path.Dir(up) {
			names = append(names, up+"/")
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		data, dir := lowerFixture[name], strings.HasSuffix(name, "/")
		name = strings.TrimSuffix(name, "/")
		up := dirs[path.Dir(name)]
		o := &object{dir: dir, host: newInode(data, dir), agreed: data, hostUp: up.host, hostName: path.Base(name)}
		o.now = version{true, up, path.Base(name), data}
		o.was = o.now
		if !dir {
			o.base, o.first, o.needs = o.host, data, map[int]bool{}
			for s := range (len(data) + 511) / 512 {
				o.needs[s] = true
			}
		}
		o.host.attach(up.host, path.Base(name))
		dirs[name] = o
		m.objects = append(m.objects, o)
	}
	return m
}

// fail ends the test with what was done last.
func (m *edits) fail(format string, args ...any) {
	m.w.t.Helper()
	m.w.t.Fatalf("%s\n%s\nstatus: %+v", fmt.Sprintf(format, args...), strings.Join(m.log[max(0, len(m.log)-25):], "\n"), m.w.s.Status())
}

// must fails the test if the guest, or the host, could not do what the model did.
func (m *edits) must(err error) {
	m.w.t.Helper()
	if err != nil {
		m.fail("%v", err)
	}
}

func (m *edits) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

// name returns a name that was never used.
func (m *edits) name(prefix string) string {
	m.names++
	return fmt.Sprintf("%s%d.txt", prefix, m.names)
}

// text returns contents that were never used, and are never empty.
func (m *edits) text(who string) string {
	m.names++
	return strings.Repeat(fmt.Sprintf("%s %d. ", who, m.names), 1+m.rnd.IntN(400))
}

// pick returns one of the guest's objects that satisfy fits; nil if there is none.
func (m *edits) pick(fits func(o *object) bool) *object {
	var some []*object
	for _, o := range m.objects {
		if o.now.there && fits(o) {
			some = append(some, o)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[m.rnd.IntN(len(some))]
}

// folder returns one of the guest's directories, which may be the root.
func (m *edits) folder() *object {
	if o := m.pick(func(o *object) bool { return o.dir }); o != nil && m.rnd.IntN(3) > 0 {
		return o
	}
	return m.root
}

func isFile(o *object) bool { return !o.dir && o.now.data != "" } // an empty one has no cluster to be known by

// guestStep lets the guest do something.
func (m *edits) guestStep() {
	g := m.w.guest
	switch m.rnd.IntN(12) {
	case 0, 1:
		o := &object{now: version{true, m.folder(), m.name("f"), m.text("guest")}, touched: true, renewed: true}
		m.objects = append(m.objects, o)
		m.note("guest writes %s", o.path())
		m.must(vfs.WriteFile(g, o.path(), []byte(o.now.data), 0o666))
	case 2:
		if m.removedDir { // it might get the clusters of that, and be taken for it
			return
		}
		o := &object{dir: true, now: version{there: true, up: m.folder(), name: m.name("dir")}}
		m.objects = append(m.objects, o)
		m.note("guest makes %s", o.path())
		m.must(g.Mkdir(o.path(), 0o777))
	case 3, 4:
		// Another name and new clusters at once would be a new file.
		o := m.pick(func(o *object) bool {
			return isFile(o) && (!o.was.there || o.now.name == o.was.name && o.now.up == o.was.up)
		})
		if o == nil {
			return
		}
		m.note("guest rewrites %s", o.path())
		o.now.data, o.touched, o.renewed = m.text("guest"), true, true
		o.cuts(0)
		m.must(vfs.WriteFile(g, o.path(), []byte(o.now.data), 0o666))
	case 5, 6:
		m.guestPatch()
	case 7, 8:
		m.guestRename()
	case 9, 10:
		if o := m.pick(isFile); o != nil {
			m.note("guest removes %s", o.path())
			m.must(g.Remove(o.path()))
			o.now.there = false
		}
	case 11:
		m.guestRemoveAll()
	}
}

// guestPatch changes a part of a file.
func (m *edits) guestPatch() {
	o := m.pick(func(o *object) bool { return isFile(o) && o.readable() })
	if o == nil {
		return
	}
	o.touched = true
	if m.rnd.IntN(4) == 0 && len(o.now.data) > 1 {
		n := 1 + m.rnd.IntN(len(o.now.data)-1)
		m.note("guest cuts %s to %d", o.path(), n)
		m.must(fatguest.Truncate(m.w.guest, o.path(), int64(n)))
		o.now.data = o.now.data[:n]
		o.cuts(n)
		return
	}
	at, text := m.rnd.IntN(len(o.now.data)+1), m.text("part")
	m.note("guest patches %s at %d, %d bytes", o.path(), at, len(text))
	m.must(fatguest.Patch(m.w.guest, o.path(), []byte(text), int64(at)))
	o.writes(at, len(text))
	o.now.data = o.now.data[:at] + text + o.now.data[min(len(o.now.data), at+len(text)):]
}

// guestRename gives a file or directory a new name.
func (m *edits) guestRename() {
	o := m.pick(func(o *object) bool { return o.dir || isFile(o) && (!o.was.there || !o.renewed) })
	up := m.folder()
	if o == nil || up.isIn(o) {
		return
	}
	from := o.path()
	o.now.up, o.now.name = up, m.name("r")
	m.note("guest renames %s to %s", from, o.path())
	m.must(m.w.guest.Rename(from, o.path()))
}

// guestRemoveAll removes a directory.
func (m *edits) guestRemoveAll() {
	top := m.pick(func(o *object) bool { return o.dir })
	if top == nil {
		return
	}
	m.note("guest removes all of %s", top.path())
	m.must(m.w.guest.RemoveAll(top.path()))
	for _, o := range m.objects {
		if o != top && o.isIn(top) {
			o.now.there = false
		}
	}
	top.now.there, m.removedDir = false, true
}

// inodes returns the inodes of the host that satisfy fits.
func (m *edits) inodes(fits func(n *inode) bool) (out []*inode) {
	var walk func(n *inode)
	walk = func(n *inode) {
		for _, name := range sortedNames(n.kids) {
			k := n.kids[name]
			if fits(k) {
				out = append(out, k)
			}
			walk(k)
		}
	}
	walk(m.host)
	return out
}

func sortedNames(kids map[string]*inode) []string {
	var names []string
	for name := range kids {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// hostStep lets a program of the host do something to a file that fits.
func (m *edits) hostStep(fits func(n *inode) bool) {
	w := m.w.m.Foreign("share")
	files := m.inodes(func(n *inode) bool { return n.kids == nil && fits(n) })
	if len(files) == 0 {
		return
	}
	n := files[m.rnd.IntN(len(files))]
	switch m.rnd.IntN(4) {
	case 0:
		m.note("host edits %s", n.path())
		n.data = m.text("host")
		m.must(hostPatch(w, n.path(), n.data))
	case 1:
		m.note("host removes %s", n.path())
		m.must(hostUnlink(w, n.path()))
		n.detach()
	case 2:
		dirs := append(m.inodes(func(n *inode) bool { return n.kids != nil && fits(n) }), m.host)
		up, from := dirs[m.rnd.IntN(len(dirs))], n.path()
		n.attach(up, m.name("moved"))
		m.note("host renames %s to %s", from, n.path())
		m.must(hostRename(w, from, n.path(), hostfs.NoReplace))
	case 3:
		m.note("host replaces %s", n.path())
		by := newInode(m.text("host"), false)
		m.must(errors.Join(hostCreate(w, "replacement", by.data), hostRename(w, "replacement", n.path(), hostfs.Replace)))
		up, name := n.up, n.name
		n.detach()
		by.attach(up, name)
	}
}

// hostCreates lets the host make a file in one of some directories, or one that
// has the name that a new file of the guest is about to get.
func (m *edits) hostCreates(up *inode) {
	n, name := newInode(m.text("host"), false), m.name("host")
	if o := m.pick(func(o *object) bool { return o.now.up.was.there && o.now.up.host.kids[o.now.name] == nil }); o != nil && up == nil {
		up, name = o.now.up.host, o.now.name
	}
	if up == nil {
		up = m.host
	}
	n.attach(up, name)
	m.note("host makes %s", n.path())
	m.must(hostCreate(m.w.m.Foreign("share"), n.path(), n.data))
}

// TestModelHostEdits lets a guest and programs of the host do random things to
// one tree. After each sync the host has what the model says, and the conflicts are
// those that it expects.
func TestModelHostEdits(t *testing.T) {
	n := 10
	if product.Long() {
		n = 1000
	}
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			conflicts := 0
			for seed := range uint64(n) {
				conflicts += hostEditsRun(t, typ, seed)
			}
			t.Logf("%d runs, %d conflicts", n, conflicts)
		})
	}
}

func hostEditsRun(t *testing.T, typ int, seed uint64) (conflicts int) {
	m := newEdits(t, typ, seed)
	m.note("FAT%d, seed %d", typ, seed)
	w := m.w
	w.must(w.open())
	m.mount()
	for range 12 {
		for range m.rnd.IntN(9) {
			switch m.rnd.IntN(5) {
			case 0:
				m.hostStep(func(*inode) bool { return true })
			case 1:
				if m.rnd.IntN(2) == 0 {
					m.hostCreates(nil)
					continue
				}
				dirs := append(m.inodes(func(n *inode) bool { return n.kids != nil }), m.host)
				m.hostCreates(dirs[m.rnd.IntN(len(dirs))])
			default:
				m.guestStep()
			}
			if m.rnd.IntN(3) == 0 {
				m.must(w.guest.Sync())
			}
		}
		m.sync()
		if m.rnd.IntN(5) == 0 {
			m.note("restart")
			w.must(w.s.Close(context.Background()))
			w.must(w.open())
			m.mount()
			m.sync()
		}
	}
	w.must(w.s.Close(context.Background()))
	return len(m.expected)
}

// mount mounts the disk and reads all files, which the server then has open.
func (m *edits) mount() {
	m.w.mount()
	for _, o := range m.objects {
		o.pinned = false
		if !o.now.there || o.dir {
			continue
		}
		m.checkRead(o)
		o.pinned = o.readable()
	}
}

// checkRead fails unless the guest reads a file as the model says.
func (m *edits) checkRead(o *object) {
	m.w.t.Helper()
	b, err := fs.ReadFile(m.w.guest, o.path())
	switch {
	case !o.readable():
		if err == nil && string(b) != o.now.data {
			m.fail("the guest reads other bytes of %s", o.path())
		}
	case err != nil || string(b) != o.now.data:
		m.fail("the guest reads %s: %d bytes, want %d, %v", o.path(), len(b), len(o.now.data), err)
	}
}

var (
	savedNumber  = regexp.MustCompile(`conflicts/(?:\d+-)+`)
	missingBytes = regexp.MustCompile(`; \d+ bytes`)
)

// sync commits, with a program of the host at work on what the guest has not
// touched, and compares.
func (m *edits) sync() {
	m.w.t.Helper()
	m.note("sync")
	m.removedDir = false
	m.must(m.w.guest.Sync())
	m.commit()
	m.meddle()
	m.must(m.w.s.Sync(m.w.t.Context()))
	m.w.m.Before(nil)
	if d := m.different(); d != "" {
		m.fail("the host has not what it should have:\n%s", d)
	}
	var got []string
	for _, c := range m.w.s.Status().Conflicts {
		text := missingBytes.ReplaceAllString(c.Text, "; N bytes")
		got = append(got, savedNumber.ReplaceAllString(path.Base(c.Path)+": "+text+": "+c.Saved, "conflicts/"))
	}
	want := slices.Sorted(slices.Values(m.expected))
	if slices.Sort(got); !slices.Equal(got, want) {
		m.fail("conflicts:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	settled := 0
	for _, o := range m.objects {
		if o.settled {
			settled++
		}
		if o.now.there && !o.dir {
			m.checkRead(o)
		}
	}
	if st := m.w.s.Status(); len(st.Settled) != settled || len(st.Pending) > 0 {
		m.fail("%d directories are kept, want %d", len(st.Settled), settled)
	}
}

// meddle has a program of the host change files of its own in the root before
// some operation of the commit.
func (m *edits) meddle() {
	own := map[*inode]bool{}
	for _, n := range m.host.kids {
		own[n] = n.kids == nil && strings.HasPrefix(n.name, "host")
	}
	for _, o := range m.objects {
		delete(own, o.host)
	}
	at := m.w.m.Ops() + m.rnd.IntN(60)
	m.w.m.Before(func(k int, op string) {
		if k != at {
			return
		}
		m.note("during %s:", op)
		if m.rnd.IntN(2) == 0 {
			m.hostCreates(m.host)
			return
		}
		m.hostStep(func(n *inode) bool { return own[n] })
	})
}
