package plan

import (
	"strings"
	"testing"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// oddBase is a base of five objects: the root, a directory on another file
// system with a file in it, and a symbolic link to a directory with a file in it.
type oddBase struct{}

var oddNodes = []catalog.Node{
	{Inode: catalog.Inode{Name: "."}},
	{Inode: catalog.Inode{Name: "mounted", Foreign: true}},
	{Inode: catalog.Inode{Name: "link", Alias: true, Link: true}},
	{Parent: 1, Inode: catalog.Inode{Name: "f", Foreign: true}},
	{Parent: 2, Inode: catalog.Inode{Name: "f", Alias: true}},
}

func (oddBase) Count() int                        { return len(oddNodes) }
func (oddBase) Node(id catalog.ID) catalog.Node   { return oddNodes[id] }
func (oddBase) Owner(c uint32) (catalog.ID, bool) { return 0, false }
func oddEntry(name string, dir bool) catalog.Entry {
	e := catalog.Entry{Name: name, Long: true}
	if dir {
		e.Attr = fatfmt.AttrDirectory
	}
	return e
}

func (oddBase) Children(id catalog.ID) ([]catalog.ID, []catalog.Entry, error) {
	switch id {
	case 0:
		return []catalog.ID{1, 2}, []catalog.Entry{oddEntry("mounted", true), oddEntry("link", true)}, nil
	case 1, 2:
		return []catalog.ID{id + 2}, []catalog.Entry{oddEntry("f", false)}, nil
	}
	return nil, nil, nil
}

// TestImpossible leaves out what is below a link or another mount point, with the
// reason, but for the removal of the link itself.
func TestImpossible(t *testing.T) {
	cat := catalog.New(oddBase{})
	object := func(id catalog.ID) *catalog.Object {
		o, err := cat.Get(id)
		if err != nil || o == nil {
			t.Fatal(id, err)
		}
		return o
	}
	for _, c := range []struct {
		what   string
		change diff.Change
		why    string
	}{
		{"write on another file system", diff.Change{Kind: diff.Update, ID: 3, Old: object(3), Parent: 1, Entry: oddEntry("f", false)}, "another file system"},
		{"removal there", diff.Change{Kind: diff.Remove, ID: 3, Old: object(3)}, "another file system"},
		{"removal of the mount point", diff.Change{Kind: diff.Remove, ID: 1, Old: object(1)}, "another file system"},
		{"creation there", diff.Change{Kind: diff.Create, ID: 9, Parent: 1, Entry: oddEntry("new", false)}, "another file system"},
		{"move from there", diff.Change{Kind: diff.Update, ID: 3, Old: object(3), Parent: 0, Entry: oddEntry("f", false)}, "another file system"},
		{"write below a link", diff.Change{Kind: diff.Update, ID: 4, Old: object(4), Parent: 2, Entry: oddEntry("f", false)}, "symbolic link"},
		{"creation below a link", diff.Change{Kind: diff.Create, ID: 9, Parent: 2, Entry: oddEntry("new", false)}, "symbolic link"},
		{"rename of a link", diff.Change{Kind: diff.Update, ID: 2, Old: object(2), Parent: 0, Entry: oddEntry("other", true)}, "symbolic link"},
		{"removal of a link", diff.Change{Kind: diff.Remove, ID: 2, Old: object(2)}, ""},
		{"creation in the root", diff.Change{Kind: diff.Create, ID: 9, Parent: 0, Entry: oddEntry("new", false)}, ""},
		{"our own name", diff.Change{Kind: diff.Create, ID: 9, Parent: 0, Entry: oddEntry(reservedName, true)}, "used by fatkit"},
	} {
		w := &build{Builder: &Builder{cat: cat}, names: map[catalog.ID]string{c.change.ID: c.change.Entry.Name}}
		why, err := w.impossible(&c.change)
		if err != nil || c.why == "" && why != "" || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, %v; want %q", c.what, why, err, c.why)
		}
	}
}
