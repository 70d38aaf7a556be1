package writeback_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fatkit/fatkit/test/fatguest"
)

// inode is a file or directory of the host, as a model.
type inode struct {
	up   *inode // nil: it is not in the tree
	name string
	data string
	kids map[string]*inode // nil for a file
}

func newInode(data string, dir bool) *inode {
	n := &inode{data: data}
	if dir {
		n.kids = map[string]*inode{}
	}
	return n
}

// attach gives an inode a name, which nothing has.
func (n *inode) attach(up *inode, name string) {
	n.detach()
	n.up, n.name, up.kids[name] = up, name, n
}

func (n *inode) detach() {
	if n.up != nil {
		delete(n.up.kids, n.name)
	}
	n.up = nil
}

func (n *inode) path() string {
	if n.up == nil || n.up.up == nil {
		return n.name
	}
	return n.up.path() + "/" + n.name
}

// tree adds what is below a directory to out, as readHost returns it.
func (n *inode) tree(at string, out map[string]string) map[string]string {
	for name, k := range n.kids {
		if k.kids == nil {
			out[at+name] = k.data
			continue
		}
		out[at+name+"/"] = ""
		k.tree(at+name+"/", out)
	}
	return out
}

// version is an object as the guest has it at one moment.
type version struct {
	there bool
	up    *object
	name  string
	data  string
}

// object is a file or directory of the guest's disk, as a model.
type object struct {
	dir      bool
	now, was version // what the guest has, and what was committed last
	host     *inode  // that stands for it; nil: none
	hostUp   *inode  // where that is, if the host has not moved it
	hostName string
	agreed   string // the contents that guest and host agreed on last
	made     bool   // a commit made the inode

	base   *inode       // what the guest's disk stands on
	first  string       // its contents when the generation began
	needs  map[int]bool // the sectors that the guest has not written
	kept   bool         // no program of the host reaches it
	pinned bool         // the server has it open

	touched, renewed bool // since the last commit: changed at all, written from its beginning
	settled          bool // removed, but the host has something in it
}

func (o *object) path() string {
	if o.now.up == nil || o.now.up.now.up == nil {
		return o.now.name
	}
	return o.now.up.path() + "/" + o.now.name
}

// isIn reports whether the object is o, or below it.
func (o *object) isIn(top *object) bool {
	for ; o != nil; o = o.now.up {
		if o == top {
			return true
		}
	}
	return false
}

// fate is what the host did to the inode of an object since they agreed.
type fate int

const (
	intact fate = iota
	edited
	replaced
	gone
	lost // no inode stands for the object
)

func (o *object) fate() fate {
	if o.host == nil {
		return lost
	}
	switch found := o.hostUp.kids[o.hostName]; {
	case found == nil:
		return gone
	case found != o.host:
		return replaced
	case found.data != o.agreed:
		return edited
	}
	return intact
}

// readable reports whether the guest can read the object.
func (o *object) readable() bool {
	b := o.base
	return len(o.needs) == 0 || b.data == o.first && (o.kept || o.pinned || o.host == b && o.fate() == intact)
}

// writes notes that the guest writes n bytes at an offset.
func (o *object) writes(off, n int) {
	for s := off / 512; s*512 < off+n; s++ {
		delete(o.needs, s)
	}
}

// cuts notes that the guest makes the file n bytes long.
func (o *object) cuts(n int) {
	maps.DeleteFunc(o.needs, func(s int, _ bool) bool { return s*512 >= n })
}

// commit does to the model what a commit is to do to the host.
func (m *edits) commit() {
	done := map[*object]bool{}
	var place func(o *object)
	place = func(o *object) {
		if !o.now.there || done[o] || o.now.up == nil {
			return
		}
		done[o] = true
		if !o.now.up.was.there {
			place(o.now.up) // a new directory comes before what is in it
		}
		m.place(o)
	}
	for _, o := range m.objects {
		place(o)
	}
	for _, o := range m.objects {
		if o.was.there && !o.now.there && !o.dir {
			m.remove(o)
		}
	}
	for _, o := range slices.Backward(m.byDepth()) { // those within before those above
		if o.was.there && !o.now.there {
			o.settled = len(o.host.kids) > 0
			if !o.settled {
				o.host.detach()
				o.was.there = false
			}
		}
	}
	for _, o := range m.objects {
		if !o.settled {
			o.was = o.now
		}
		o.touched, o.renewed = false, false
	}
}

// byDepth returns the directories in an order in which each comes after the one
// that it is in on the host.
func (m *edits) byDepth() []*object {
	depth := func(o *object) (n int) {
		for i := o.host; i != nil; i = i.up {
			n++
		}
		return n
	}
	var dirs []*object
	for _, o := range m.objects {
		if o.dir {
			dirs = append(dirs, o)
		}
	}
	slices.SortStableFunc(dirs, func(a, b *object) int { return depth(a) - depth(b) })
	return dirs
}

// place brings an object to where the guest has it, with the contents that it has
// there.
func (m *edits) place(o *object) {
	isNew := !o.was.there
	moved := !isNew && (o.now.up != o.was.up || o.now.name != o.was.name)
	changed := !isNew && !o.dir && o.touched && o.now.data != o.was.data
	name := o.now.name
	if !isNew && !moved {
		name = o.hostName
	}
	if isNew {
		m.create(o, name, "the host has made something of that name")
		return
	}
	f := o.fate()
	had := f != lost
	if (changed && f != intact || (changed || moved) && f == lost) && !o.readable() {
		m.salvage(o)
		return
	}
	if moved && f != lost {
		f = m.move(o, f, name)
	}
	switch {
	case (moved || changed) && f == lost:
		if !o.readable() {
			m.salvage(o)
			return
		}
		why := "the host has made something of that name"
		if changed && moved && had { // in one commit with the loss of the old one
			why = "the host replaced it"
		}
		m.create(o, name, why)
	case changed:
		m.update(o, f, o.hostName, name)
	}
}

// create makes a new inode for an object.
func (m *edits) create(o *object, name, why string) {
	n := newInode(o.now.data, o.dir)
	o.host, o.made, o.agreed = n, true, o.now.data
	m.attach(o, n, name, why)
}

// attach gives the inode of an object its name, or one beside it if the host has
// something of that name.
func (m *edits) attach(o *object, n *inode, name, why string) {
	up := o.now.up.host
	if up.kids[name] != nil {
		name = beside(up, name)
		m.conflict(o, why, path.Join(path.Dir(o.path()), name))
	}
	n.attach(up, name)
	o.hostUp, o.hostName = up, name
}

// beside is the name of the guest's version beside one of the host's.
func beside(up *inode, name string) string {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext) + guestMark
	for n := 1; ; n++ {
		name := stem + ext
		if n > 1 {
			name = fmt.Sprintf("%s %d%s", stem, n, ext)
		}
		if up.kids[name] == nil {
			return name
		}
	}
}

// guestMark is in the names of the guest's versions. The clock of a run stays within
// its minute.
const guestMark = " (guest 2026-03-04 05.06)"

// move moves the inode of an object, and returns what became of that.
func (m *edits) move(o *object, f fate, name string) fate {
	if f == replaced || f == gone {
		m.conflict(o, "the host moved or removed it, the guest changed it", "")
		o.host, o.hostName = nil, name
		return lost
	}
	o.host.detach()
	m.attach(o, o.host, name, "the host has made something of that name")
	return f
}

// update gives an object new contents, at its name or beside the name that the guest
// gave it.
func (m *edits) update(o *object, f fate, name, given string) {
	if f == intact && o.made {
		o.host.data, o.agreed = o.now.data, o.now.data // in place
		return
	}
	o.kept = o.kept || f == intact && o.host == o.base
	if f == intact {
		o.host.detach()
	}
	n := newInode(o.now.data, false)
	o.host, o.made, o.agreed = n, true, o.now.data
	if f == gone {
		m.conflict(o, "the host moved or removed it, the guest changed it", o.path())
	}
	if up := o.now.up.host; up.kids[name] != nil {
		name = given
	}
	m.attach(o, n, name, "the host replaced it")
}

// salvage saves what there is of an object.
func (m *edits) salvage(o *object) {
	saved := "conflicts/" + o.now.name
	if o.now.name == o.was.name {
		saved = "conflicts/" + o.hostName
	}
	m.conflict(o, "the host changed it as well; N bytes of the guest's version are missing, see "+saved+".missing", saved)
	o.host, o.made, o.hostName = nil, true, path.Base(saved)
}

// remove takes a file off the host that the guest has deleted.
func (m *edits) remove(o *object) {
	why := "the host moved or removed it, the guest changed it"
	switch o.fate() {
	case intact:
		o.host.detach()
		return
	case lost:
		return
	case edited:
		why = "the host changed it as well"
	}
	m.conflict(o, why+"; the guest deleted it, the host's version stays", "")
}

// conflict notes that one is expected. It is told
// by the name of the object, as the directory may be gone too.
func (m *edits) conflict(o *object, text, saved string) {
	name := o.now.name
	if !o.now.there {
		name = o.was.name
	}
	m.expected = append(m.expected, name+": "+text+": "+saved)
}

// different says how the host, or the guest, differs from the model.
func (m *edits) different() string {
	return fatguest.Difference(m.host.tree("", map[string]string{}), m.w.hostTree())
}
