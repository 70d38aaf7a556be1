package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttwin"
	"github.com/fatkit/fatkit/internal/journal"
)

// Types of the records of these tests.
const (
	intentRecord     journal.Type = 1
	completionRecord journal.Type = 2
)

// Contents of the file that is patched, before and after.
var (
	logOld = strings.Repeat("old log ", 300)
	logNew = strings.Repeat("old log ", 64) + strings.Repeat("NEW LOG ", 400)
)

// before is the tree that the plan changes. Every content is there once, so
// that a content is the name of an inode.
var before = map[string]string{
	"a": "A", "b": "B", "c": "C", "d/x": "DX", "d/y": "DY", "e/deep/f": "EF", "z/": "",
	"hidden/": "", "hidden/socket": "HIDDEN",
	"p": "P", "q": "Q", "r": "R", "s": "S", "t": "T",
	"tmp": "TMP", "target": "TARGET", "times": "TIMES", "log": logOld,
}

// after is what the plan makes of it.
var after = map[string]string{
	"b": "B2", "d/": "", "d/x": "DX", "d/y": "DY", "d/a2": "A",
	"hidden/": "", "hidden/socket": "HIDDEN",
	"p": "R", "q": "P", "r": "Q", "s": "T", "t": "S",
	"target": "TMP", "times": "TIMES", "log": logNew,
	"new": "NEW", "nd/": "", "nd/f": "NDF", "nd/e2/": "", "nd/e2/deep/": "", "nd/e2/deep/f": "EF",
	"../aside/kept/b-1": "B", "../aside/trash/c-1": "C", "../aside/trash/target-1": "TARGET",
}

// host is a machine with the tree in share and everything else in aside and
// state: a twin, or a directory of the real host.
type host struct {
	testing.TB
	m   *hosttwin.Machine
	dir string                                  // of the real host
	cut func(w hostfs.Writable) hostfs.Writable // wraps its trees
	ids map[string]hostfs.Identity              // the tree as it was made
}

// root opens a directory as the server, foreign as another program.
func (h *host) root(p string) hostfs.Writable {
	if h.m != nil {
		return h.m.Root(p)
	}
	return h.cut(h.foreign(p))
}

func (h *host) foreign(p string) hostfs.Writable {
	if h.m != nil {
		return h.m.Foreign(p)
	}
	r, err := hostfs.OpenRoot(filepath.Join(h.dir, p))
	h.must(err)
	h.Cleanup(func() { r.Close() })
	return r
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// newHost returns a machine with the tree, all of it durable.
func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{TB: t, m: hosttwin.New()}
	h.makeTree()
	h.m.Settle()
	return h
}

// makeTree makes the folders and the tree.
func (h *host) makeTree() {
	h.Helper()
	h.mkdirs("share", "aside", "state")
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			h.mkdirs("share/" + dir)
			continue
		}
		h.mkdirs("share/" + path.Dir(name))
		h.write("share/"+name, before[name])
	}
}

// in calls do, as another program, with the directory of a path.
func (h *host) in(p string, do func(d hostfs.Dir, name string) error) error {
	return hostfs.InDir(h.foreign("."), p, do)
}

func (h *host) mkdirs(paths ...string) {
	h.Helper()
	for _, p := range paths {
		for i := range len(p) + 1 {
			if i < len(p) && p[i] != '/' {
				continue
			}
			err := h.in(p[:i], func(d hostfs.Dir, name string) error {
				if name == "." {
					return nil
				}
				return d.Mkdir(name, 0o755)
			})
			if !errors.Is(err, fs.ErrExist) {
				h.must(err)
			}
		}
	}
}

// write makes or overwrites a file.
func (h *host) write(p, content string) {
	h.Helper()
	h.must(h.in(p, func(d hostfs.Dir, name string) error {
		f, err := d.Create(name, 0o644)
		if errors.Is(err, fs.ErrExist) {
			f, err = d.OpenFile(name)
		}
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(content), 0)
		return errors.Join(err, f.Truncate(int64(len(content))), f.Close())
	}))
}

func (h *host) lookup(p string) hostfs.Identity {
	h.Helper()
	var id hostfs.Identity
	h.must(h.in(p, func(d hostfs.Dir, name string) (err error) {
		id, err = d.Lookup(name)
		return err
	}))
	return id
}

// tree returns what lies below a directory, with the contents of files, and a
// slash after directories.
func (h *host) tree(dir string) map[string]string {
	h.Helper()
	out := map[string]string{}
	h.walk(dir, "", out)
	return out
}

func (h *host) walk(dir, at string, out map[string]string) {
	h.Helper()
	w := h.foreign(dir)
	var l hostfs.Listing
	h.must(w.ReadDir(path.Join(".", at), &l))
	for i := range l.Entries {
		name := path.Join(at, string(l.NameOf(&l.Entries[i])))
		switch mode := l.Entries[i].Mode; {
		case mode.IsDir():
			out[name+"/"] = ""
			h.walk(dir, name, out)
		case mode.IsRegular():
			f, st, err := w.Open(name)
			if errors.Is(err, syscall.EWOULDBLOCK) {
				out[name] = "under a lease"
				continue
			}
			h.must(err)
			p := make([]byte, st.Size)
			if _, err := f.ReadAt(p, 0); err != nil && err != io.EOF {
				h.Fatal(err)
			}
			h.must(f.Close())
			out[name] = string(p)
		}
	}
}

// all returns tree and aside, as after describes them: the empty folders aside
// and what was staged are left out.
func (h *host) all() map[string]string {
	h.Helper()
	out := h.tree("share")
	for name, content := range h.tree("aside") {
		if !strings.HasSuffix(name, "/") && !strings.HasPrefix(name, "stage/"+newPrefix) {
			out["../aside/"+name] = content
		}
	}
	return out
}

// server is a process on the machine.
type server struct {
	j    *journal.Journal
	x    *Executor
	open *Plan // not completed
	done bool  // the commit is complete
	last Results
}

// start opens the journal as a server does.
func (h *host) start() (*server, error) {
	state, err := h.root("state").OpenDir(".")
	if err != nil {
		return nil, err
	}
	s := &server{}
	s.j, err = journal.Open(state, "journal", func(r journal.Record) (err error) {
		if r.Type == intentRecord {
			s.open, err = DecodePlan(bytes.Clone(r.Payload))
			return err
		}
		s.open, s.done = nil, true
		s.last, _, err = DecodeResults(bytes.Clone(r.Payload))
		return err
	})
	if err != nil {
		return nil, err
	}
	probe, err := h.root("aside").OpenDir(".")
	if err != nil {
		return nil, err
	}
	features, err := hostfs.Probe(probe)
	if err != nil {
		return nil, err
	}
	s.x, err = New(Config{
		Tree: h.root("share"), Aside: h.root("aside"), Features: features,
		Journal: s.j, Intent: intentRecord, Completion: completionRecord, Open: s.open != nil,
	})
	return s, err
}

// work starts a server that completes what an earlier one left, or makes the
// commit if there was none.
func (h *host) work() (Results, error) {
	s, err := h.start()
	if err != nil {
		return Results{}, err
	}
	switch {
	case s.open != nil:
		return s.x.Recover(context.Background(), s.open, source, nil)
	case s.done:
		return s.last, nil
	}
	if err := s.x.Sweep(); err != nil {
		return Results{}, err
	}
	p, err := h.plan(s.x)
	if err != nil {
		return Results{}, err
	}
	return s.x.Execute(context.Background(), p, nil)
}

// Tags of objects that the tests ask about.
const tagLog = 99

func source(tag uint64) io.ReaderAt {
	if tag == tagLog {
		return strings.NewReader(logNew)
	}
	return nil
}

// builder makes the plan.
type builder struct {
	h   *host
	st  *Stager
	p   *Plan
	ids map[string]hostfs.Identity // as they were before
	err error
}

// Directories of the plan, in the order of builder.dirs.
const (
	dRoot DirID = iota
	dD
	dE
	dDeep
	dNew
)

// plan stages and returns the plan from before to after. What the catalog of a
// server would know is what the tree was when it was made.
func (h *host) plan(x *Executor) (*Plan, error) {
	b := &builder{h: h, ids: catalog(h), p: &Plan{Epoch: 1, Note: []byte("note")}}
	b.st = x.NewStager([]Dir{
		{ID: b.ids["."]},
		{b.ids["d"], Place{dRoot, "d"}, Place{dRoot, "d"}},
		{b.ids["e"], Place{dRoot, "e"}, Place{dNew, "e2"}},
		{b.ids["e/deep"], Place{dE, "deep"}, Place{dE, "deep"}},
	})
	defer b.st.Close()
	b.moves()
	b.rest()
	if b.err == nil {
		b.err = b.st.Sync()
	}
	b.p.Dirs = b.st.Dirs()
	return b.p, b.err
}

// twinIDs is what was known of the tree of a twin when it was made. Every twin
// begins the same.
var twinIDs = sync.OnceValue(func() map[string]hostfs.Identity {
	var t testing.TB = new(testing.B)
	return newHost(t).describe()
})

// describe returns the identities of the tree.
func (h *host) describe() map[string]hostfs.Identity {
	ids := map[string]hostfs.Identity{".": h.lookup("share")}
	for name := range h.tree("share") {
		name = strings.TrimSuffix(name, "/")
		ids[name] = h.lookup("share/" + name)
	}
	return ids
}

// catalog is what a server knows of the tree.
func catalog(h *host) map[string]hostfs.Identity {
	if h.ids == nil {
		h.ids = twinIDs()
	}
	return h.ids
}

func (b *builder) move(tag uint64, object hostfs.Identity, from, to Place, more func(m *Move)) {
	m := Move{Tag: tag, Object: object, From: from, To: to, Beside: to.Name + " (guest)"}
	if to.Dir < 0 {
		m.Beside = ""
	}
	if more != nil {
		more(&m)
	}
	b.p.Moves = append(b.p.Moves, m)
}

// file stages one.
func (b *builder) file(content string, like string) Object {
	spec := &Spec{In: dRoot, Perm: 0o644, Atime: hostfs.NoTime, Mtime: 5e17, SizeBytes: int64(len(content)), Content: strings.NewReader(content)}
	if like != "" {
		spec.Like = &Object{Place{dRoot, like}, b.ids[like]}
	}
	o, err := b.st.File(context.Background(), spec)
	if errors.Is(err, ErrChanged) {
		spec.Like = nil
		o, err = b.st.File(context.Background(), spec)
	}
	b.err = errors.Join(b.err, err)
	return o
}

func (b *builder) moves() {
	root := func(name string) Place { return Place{dRoot, name} }
	displace := func(name string, to Place) func(m *Move) {
		id := b.ids[name]
		return func(m *Move) { m.Displaces, m.DisplacedTo = &id, to }
	}
	strict := func(m *Move) { m.Strict = true }

	nd, err := b.st.Dir(&Spec{In: dRoot, Perm: 0o755, Atime: hostfs.NoTime, Mtime: hostfs.NoTime})
	b.err = errors.Join(b.err, err)
	if id := b.st.AddDir(Dir{nd.ID, nd.At, root("nd")}); id != dNew {
		panic(id)
	}
	o := b.file("NEW", "")
	b.move(1, nd.ID, nd.At, root("nd"), nil)
	b.move(2, o.ID, o.At, root("new"), nil)
	o = b.file("NDF", "")
	b.move(3, o.ID, o.At, Place{dNew, "f"}, nil)
	o = b.file("B2", "b")
	b.move(4, o.ID, o.At, root("b"), displace("b", Place{Kept, "b-1"}))
	b.move(5, b.ids["a"], root("a"), Place{dD, "a2"}, nil)
	b.move(6, b.ids["e"], root("e"), Place{dNew, "e2"}, nil)
	b.move(7, b.ids["p"], root("p"), Place{Stage, "move-1-7"}, nil)
	b.move(8, b.ids["r"], root("r"), root("p"), nil)
	b.move(9, b.ids["q"], root("q"), root("r"), nil)
	b.move(7, b.ids["p"], Place{Stage, "move-1-7"}, root("q"), nil)
	b.move(10, b.ids["s"], root("s"), root("t"), displace("t", root("s")))
	b.move(11, b.ids["tmp"], root("tmp"), root("target"), displace("target", Place{Trash, "target-1"}))
	b.move(12, b.ids["c"], root("c"), Place{Trash, "c-1"}, strict)
}

func (b *builder) rest() {
	root := func(name string) Place { return Place{dRoot, name} }
	p, err := b.st.Patch(Object{root("log"), b.ids["log"]}, []Range{{512, int64(len(logNew)) - 512}}, int64(len(logNew)), strings.NewReader(logNew))
	if errors.Is(err, ErrChanged) {
		err = nil // the plan goes on without it
	} else {
		p.Tag = tagLog
		b.p.Patches = append(b.p.Patches, p)
	}
	b.err = errors.Join(b.err, err)
	b.p.Rmdirs = []Rmdir{{20, root("z"), b.ids["z"]}, {21, root("hidden"), b.ids["hidden"]}}
	b.p.Attrs = []Attr{
		{Tag: 22, At: root("times"), ID: b.ids["times"], Atime: hostfs.NoTime, Mtime: 6e17, ClearMode: 0o222, Xattrs: []Xattr{{"user.fat", []byte{1}}}},
		{Tag: 23, At: Place{dNew, "e2"}, ID: b.ids["e"], Atime: hostfs.NoTime, Mtime: 7e17},
		{Tag: tagLog, At: root("log"), ID: b.ids["log"], Atime: hostfs.NoTime, Mtime: 8e17},
	}
}

// same compares two trees.
func same(got, want map[string]string) error {
	var out []string
	for name := range union(got, want) {
		g, ok := got[name]
		w, should := want[name]
		switch {
		case !should:
			out = append(out, fmt.Sprintf("%q is there with %.20q", name, g))
		case !ok:
			out = append(out, fmt.Sprintf("%q is not there", name))
		case g != w:
			out = append(out, fmt.Sprintf("%q holds %.20q, not %.20q", name, g, w))
		}
	}
	if out == nil {
		return nil
	}
	slices.Sort(out)
	return errors.New(strings.Join(out, "\n\t"))
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
