package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// A meeting is one step of a commit that meets what the host did before it.
type meeting struct {
	name  string
	host  func(h *host)     // what the host did since the catalog was made
	plan  func(b *builder)  // the step
	want  Result            // of the last step; Tag, Op and identities are not compared
	after map[string]string // what changes in before
}

// gone stands for a name that is not there.
const gone = "(gone)"

var root = func(name string) Place { return Place{dRoot, name} }

// deletion, replacement and creation are the steps that most meetings are about.
func deletion(b *builder) {
	b.move(1, b.ids["c"], root("c"), Place{Trash, "c-1"}, func(m *Move) { m.Strict = true })
}

func replacement(b *builder) {
	id := b.ids["b"]
	o := b.file("GUEST", "b")
	b.move(1, o.ID, o.At, root("b"), func(m *Move) { m.Displaces, m.DisplacedTo = &id, Place{Kept, "b-1"} })
}

func creation(b *builder) {
	o := b.file("GUEST", "")
	b.move(1, o.ID, o.At, root("new.txt"), func(m *Move) { m.Beside = "new (guest).txt" })
}

func renaming(b *builder) { b.move(1, b.ids["a"], root("a"), Place{dD, "a2"}, nil) }

func times(b *builder) {
	b.p.Attrs = []Attr{{Tag: 1, At: root("times"), ID: b.ids["times"], Atime: hostfs.NoTime, Mtime: 5e17}}
}

// do is an edit that must work.
func do(kind, name string) func(h *host) {
	return func(h *host) {
		for _, e := range edits {
			if e.name == kind {
				h.must(e.do(h, "share/"+name))
			}
		}
	}
}

var meetings = []meeting{
	{"deletion of an edited file", do("write", "c"), deletion,
		Result{Status: Conflict, Kind: Edited, At: root("c")}, map[string]string{"c": hostText}},
	{"deletion of a replaced file", do("replace", "c"), deletion,
		Result{Status: Conflict, Kind: Gone}, map[string]string{"c": hostText}},
	{"deletion of a deleted file", do("delete", "c"), deletion,
		Result{Status: Conflict, Kind: Gone}, map[string]string{"c": gone}},
	{"deletion of a linked file", do("link", "c"), deletion,
		Result{Status: Done, At: Place{Trash, "c-1"}}, map[string]string{"c": gone, "second name": "C", "../aside/trash/c-1": "C"}},
	{"replacement of an edited file", do("write", "b"), replacement,
		Result{Status: Conflict, Kind: Replaced, At: root("b (guest)")}, map[string]string{"b": hostText, "b (guest)": "GUEST"}},
	{"replacement of a replaced file", do("replace", "b"), replacement,
		Result{Status: Conflict, Kind: Replaced, At: root("b (guest)")}, map[string]string{"b": hostText, "b (guest)": "GUEST"}},
	{"replacement of a deleted file", do("delete", "b"), replacement,
		Result{Status: Done, HostRemoved: true, At: root("b")}, map[string]string{"b": "GUEST"}},
	{"replacement of a linked file", do("link", "b"), replacement,
		Result{Status: Done, At: root("b"), Displaced: Place{Kept, "b-1"}},
		map[string]string{"b": "GUEST", "second name": "B", "../aside/kept/b-1": "B"}},
	{"creation at a name that is taken", do("create", "new.txt"), creation,
		Result{Status: Conflict, Kind: Occupied, At: root("new (guest).txt")},
		map[string]string{"new.txt": hostText, "new (guest).txt": "GUEST"}},
	{"creation where all names are taken", func(h *host) {
		h.write("share/new.txt", "1")
		for n := range maxBeside {
			h.write("share/"+numbered("new (guest).txt", n), "other")
		}
	}, func(b *builder) { b.p.Epoch = 1; creation(b) },
		Result{Status: Conflict, Kind: Occupied, At: Place{Conflicts, "0-1-1-new.txt"}}, nil},
	{"renaming of an edited file", do("write", "a"), renaming,
		Result{Status: Done, At: Place{dD, "a2"}}, map[string]string{"a": gone, "d/a2": hostText}},
	{"renaming to a name that is taken", do("create", "d/a2"), renaming,
		Result{Status: Conflict, Kind: Occupied, At: Place{dD, "a2 (guest)"}},
		map[string]string{"a": gone, "d/a2": hostText, "d/a2 (guest)": "A"}},
	{"renaming into a directory that moved away", do("move away", "d"), renaming,
		Result{Status: Waiting}, map[string]string{"d/x": gone, "d/y": gone, "moved away/x": "DX", "moved away/y": "DY"}},
	{"renaming into a directory that became a link", do("symlink", "d"), renaming,
		Result{Status: Waiting}, map[string]string{"d/x": gone, "d/y": gone, "moved away/x": "DX", "moved away/y": "DY"}},
	{"times of an edited file", do("write", "times"), times,
		Result{Status: Conflict, Kind: Edited, At: root("times")}, map[string]string{"times": hostText}},
	{"times of a replaced file", do("replace", "times"), times,
		Result{Status: Conflict, Kind: Replaced, At: root("times")}, map[string]string{"times": hostText}},
	{"rmdir of a directory that is not empty", do("create", "z/f"),
		func(b *builder) { b.p.Rmdirs = []Rmdir{{1, root("z"), b.ids["z"]}} },
		Result{Status: NotEmpty, At: root("z")}, map[string]string{"z/f": hostText}},
}

func TestMeetings(t *testing.T) {
	for _, m := range meetings {
		t.Run(m.name, func(t *testing.T) {
			h := newHost(t)
			catalog(h)
			m.host(h)
			s, err := h.start()
			h.must(err)
			b := &builder{h: h, ids: h.ids, p: &Plan{Epoch: 1}}
			b.st = s.x.NewStager([]Dir{{ID: b.ids["."]}, {b.ids["d"], root("d"), root("d")}})
			m.plan(b)
			h.must(errors.Join(b.err, b.st.Sync()))
			b.p.Dirs = b.st.Dirs()
			res, err := s.x.Execute(context.Background(), b.p, nil)
			h.must(err)
			got := res.List[len(res.List)-1]
			got.Op, got.Tag, got.ID, got.DisplacedID, got.Reason = 0, 0, hostfs.Identity{}, hostfs.Identity{}, ""
			if got != m.want {
				t.Errorf("%+v, not %+v", got, m.want)
			}
			if m.after != nil {
				h.compareFiles(m.after)
			}
		})
	}
}

// compareFiles compares the files with before and what is to differ.
func (h *host) compareFiles(changed map[string]string) {
	h.Helper()
	got, want := h.all(), union(before, changed)
	for _, list := range []map[string]string{got, want} {
		for name := range list {
			if strings.HasSuffix(name, "/") || list[name] == gone {
				delete(list, name)
			}
		}
	}
	if err := same(got, want); err != nil {
		h.Error(err)
	}
}

// A program that had the file open before goes on writing to it. Its inode is
// kept, wherever it is.
func TestHeldOpen(t *testing.T) {
	h := newHost(t)
	var open []hostfs.WFile
	for _, name := range []string{"share/b", "share/c", "share/target"} {
		h.must(h.in(name, func(d hostfs.Dir, name string) error {
			f, err := d.OpenFile(name)
			open = append(open, f)
			return err
		}))
	}
	_, err := h.work()
	h.must(err)
	for _, f := range open {
		_, err := f.WriteAt([]byte("late: "+hostText), 0)
		h.must(err)
	}
	all := h.all()
	for _, name := range []string{"../aside/kept/b-1", "../aside/trash/c-1", "../aside/trash/target-1"} {
		if all[name] != "late: "+hostText {
			t.Errorf("%s holds %q", name, all[name])
		}
	}
}

// What is not needed any more is removed, unless a program of the host may have
// put something into it.
func TestDrop(t *testing.T) {
	for name, c := range map[string]struct {
		host func(h *host) error
		want bool
	}{
		"alone": {func(*host) error { return nil }, true},
		"read": {func(h *host) error {
			return h.in("aside/kept/b-1", func(d hostfs.Dir, name string) error { _, err := d.Open(name); return err })
		}, true},
		"open for writing": {func(h *host) error {
			return h.in("aside/kept/b-1", func(d hostfs.Dir, name string) error { _, err := d.OpenFile(name); return err })
		}, false},
		"written to": {func(h *host) error { return edits[0].do(h, "aside/kept/b-1") }, false},
		"no leases":  {func(h *host) error { h.m.Lacks.Lease = true; return nil }, false},
	} {
		h := newHost(t)
		res, err := h.work()
		h.must(err)
		s, err := h.start()
		h.must(err)
		var kept Object
		for _, r := range res.List {
			if r.Displaced.Dir == Kept {
				kept = Object{r.Displaced, r.DisplacedID}
			}
		}
		h.must(c.host(h))
		dropped, err := s.x.Drop(kept)
		h.must(err)
		if _, there := h.tree("aside")["kept/b-1"]; dropped != c.want || there == c.want {
			t.Errorf("%s: dropped %v, there %v", name, dropped, there)
		}
	}
}

// Staging takes over what the old file had, or what the directory hands down.
func TestStageAttributes(t *testing.T) {
	h := newHost(t)
	h.must(h.in("share/b", func(d hostfs.Dir, name string) error {
		n, err := d.OpenNode(name)
		h.must(err)
		return errors.Join(n.SetOwner(7, 8), n.SetMode(0o640|fs.ModeSetuid), n.SetXattr("user.x", []byte("1")), n.Close())
	}))
	s, err := h.start()
	h.must(err)
	ids := h.describe()
	st := s.x.NewStager([]Dir{{ID: ids["."]}})
	src, err := s.x.cfg.Tree.OpenDir(".")
	h.must(err)
	clone, err := src.Open("log")
	h.must(err)
	spec := &Spec{
		Like: &Object{root("b"), ids["b"]}, ClearMode: 0o200, Mtime: 9e17, Atime: hostfs.NoTime,
		SizeBytes: 1000, Content: strings.NewReader(logNew[:1000]), Clone: clone, Dirty: []Range{{512, 512}},
		Xattrs: []Xattr{{"user.fat", []byte("2")}},
	}
	o, err := st.File(context.Background(), spec)
	h.must(err)
	h.must(st.Sync())
	if o.ID.UID != 7 || o.ID.GID != 8 || o.ID.Mode != 0o440 || o.ID.Mtime != 9e17 || o.ID.Size != 1000 {
		t.Errorf("%+v", o.ID)
	}
	if got := h.tree("aside")["stage/"+o.At.Name]; got != logNew[:1000] {
		t.Errorf("a clone holds %q", got)
	}
	h.must(h.in("aside/stage/"+o.At.Name, func(d hostfs.Dir, name string) error {
		n, err := d.OpenNode(name)
		h.must(err)
		defer n.Close()
		for name, want := range map[string]string{"user.x": "1", "user.fat": "2"} {
			if v, err := n.Xattr(name); string(v) != want || err != nil {
				t.Errorf("%s is %q, %v", name, v, err)
			}
		}
		return nil
	}))
	spec.Content = strings.NewReader("too short")
	if _, err := st.File(context.Background(), spec); err == nil {
		t.Error("contents that end early were staged")
	}
	do("replace", "b")(h)
	spec.Content = strings.NewReader(logNew)
	if _, err := st.File(context.Background(), spec); !errors.Is(err, ErrChanged) {
		t.Errorf("like a file that is gone: %v", err)
	}
	h.must(st.Discard())
	if left := h.tree("aside/stage"); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestNumbered(t *testing.T) {
	long := strings.Repeat("ä", 125) + ".text"
	for _, c := range []struct {
		name string
		n    int
		want string
	}{
		{"a.txt", 0, "a.txt"}, {"a.txt", 1, "a 2.txt"}, {"a", 9, "a 10"}, {".profile", 1, ".profile 2"}, {"a.tar.gz", 1, "a.tar 2.gz"},
		{long, 1, strings.Repeat("ä", 124) + " 2.text"},
	} {
		if got := numbered(c.name, c.n); got != c.want {
			t.Errorf("%q is %q, not %q", c.name, got, c.want)
		}
	}
}

// What a host program writes under a name, while an exchange has something else
// there for a moment, stays in the tree.
func TestHostMeetsExchange(t *testing.T) {
	n := operations(t)
	for _, e := range edits[:2] {
		for k := n / 3; k < n; k++ {
			h := newHost(t)
			lost := h.meddle(e, "tmp", k)
			_, err := h.work()
			h.must(err)
			h.m.Before(nil)
			h.kept(fmt.Sprintf("%s of tmp before %d (%s)", e.name, k, h.m.Describe(k)), lost)
		}
	}
}

// patchedHost returns a machine with an intent to patch the log, whose
// operations were cut, and what the file then held.
func patchedHost(t *testing.T, torn string) *host {
	h := newHost(t)
	s, err := h.start()
	h.must(err)
	ids := catalog(h)
	st := s.x.NewStager([]Dir{{ID: ids["."]}})
	p, err := st.Patch(Object{root("log"), ids["log"]}, []Range{{512, int64(len(logNew)) - 512}}, int64(len(logNew)), strings.NewReader(logNew))
	h.must(err)
	p.Tag = tagLog
	plan := &Plan{Epoch: 1, Dirs: st.Dirs(), Patches: []Patch{p}}
	_, err = s.j.Append(intentRecord, plan.Encode())
	h.must(errors.Join(err, s.j.Sync()))
	h.write("share/log", torn)
	return h
}

// A patch that was cut is completed if every sector is old or new, and else
// left to be staged anew.
func TestTornPatch(t *testing.T) {
	grown := logOld + strings.Repeat("\x00", len(logNew)-len(logOld))
	for name, c := range map[string]struct {
		torn string
		want Status
	}{
		"not begun, but touched":              {logOld, Done},
		"complete":                            {logNew, Done},
		"one sector":                          {logOld[:512] + logNew[512:1024] + logOld[1024:], Done},
		"the size alone":                      {grown, Done},
		"the last sector under the old size":  {logOld[:2048] + logNew[2048:len(logOld)], Done},
		"everything under the old size":       {logNew[:len(logOld)], Done},
		"written by the host in the range":    {logOld[:600] + "HOST" + logOld[604:], Torn},
		"written by the host before it":       {"HOST" + logOld[4:], Torn},
		"written by the host beyond the size": {logNew + "HOST", Torn},
		"cut by the host":                     {logOld[:100], Torn},
		"written by the host in the new part": {grown[:3000] + "HOST" + grown[3004:], Torn},
	} {
		h := patchedHost(t, c.torn)
		res, err := h.work()
		h.must(err)
		if got := res.List[0]; got.Status != c.want {
			t.Errorf("%s: %+v", name, got)
		}
		want := c.torn
		if c.want == Done {
			want = logNew
		}
		if got := h.tree("share")["log"]; got != want {
			t.Errorf("%s: the file holds %d bytes, not these %d", name, len(got), len(want))
		}
	}
}
