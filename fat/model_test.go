package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// model is a volume beside the simplest thing that behaves like it.
type model struct {
	t     *rapid.T
	dev   *mem.Device
	v     *fat.Volume
	dirs  map[string]string // upper-case path to spelling, "." included
	files map[string]*modelFile
	open  []*modelHandle
}

type modelFile struct {
	name string // as it was spelled
	data []byte
}

// modelHandle is a file that stays open over other operations.
type modelHandle struct {
	f    vfs.File
	file *modelFile
}

func key(name string) string { return strings.ToUpper(name) }

// newModel formats a volume of a random kind.
func newModel(t *rapid.T) *model {
	o := rapid.SampledFrom([]fat.FormatOptions{
		{Type: 12, ClusterBytes: 512, RootEntries: 48}, {Type: 16, ClusterBytes: 512, FATs: 1},
		{Type: 32, ClusterBytes: 512}, {Type: 12, SectorBytes: 2048}, {Type: 16, ClusterBytes: 4096},
	}).Draw(t, "format")
	size := map[int]int64{12: 1 << 20, 16: 17 << 20, 32: 34 << 20}[o.Type]
	if o.Type == 12 && rapid.Bool().Draw(t, "small") {
		size = 160 << 10 // so that it is often full
	}
	o.Now = fixed
	m := &model{t: t, dev: mem.New(size), dirs: map[string]string{".": "."}, files: map[string]*modelFile{}}
	if _, err := fat.Format(m.dev, o); err != nil {
		t.Fatal(err)
	}
	m.mount()
	return m
}

func (m *model) mount() {
	v, err := fat.Open(m.dev, fat.Options{WriteBack: -1, Location: time.UTC})
	if err != nil {
		m.t.Fatal(err)
	}
	m.v = v
}

// reopen closes the volume and mounts it again.
func (m *model) reopen() {
	for _, h := range m.open {
		h.f.Close()
	}
	m.open = nil
	if err := m.v.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.mount()
}

// names are few, so that operations meet; some are one name in two spellings.
var names = []string{"A", "a", "b.txt", "B.TXT", "a long name.text", "A LONG name.text", "Ünï", "c~1", "x.y.z",
	strings.Repeat("n", 60), strings.Repeat("m", 199) + ".long"}

func (m *model) dir() string {
	return m.dirs[rapid.SampledFrom(sorted(m.dirs)).Draw(m.t, "dir")]
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (m *model) name() string {
	return path.Join(m.dir(), rapid.SampledFrom(names).Draw(m.t, "name"))
}

// existing returns the name of a file, or "" if there is none.
func (m *model) existing() string {
	if len(m.files) == 0 {
		return ""
	}
	return m.files[rapid.SampledFrom(sorted(m.files)).Draw(m.t, "file")].name
}

// check compares an error with the expectation that there is one. It reports
// whether the operation was carried out.
func (m *model) check(what string, err error, fails bool) bool {
	if errors.Is(err, diskerr.ErrNoSpace) {
		return false
	}
	if (err != nil) != fails {
		m.t.Fatalf("%s: error %v, want one: %v", what, err, fails)
	}
	return err == nil
}

func (m *model) isDir(name string) bool { _, ok := m.dirs[key(name)]; return ok }

func (m *model) content() []byte {
	n := rapid.OneOf(rapid.IntRange(0, 3000), rapid.SampledFrom([]int{0, 511, 512, 513, 4096, 60_000})).Draw(m.t, "bytes")
	return bytes.Repeat([]byte{byte(rapid.IntRange(1, 255).Draw(m.t, "fill"))}, n)
}

func (m *model) writeFile(t *rapid.T) {
	m.t = t
	name, data := m.name(), m.content()
	if !m.check("write "+name, vfs.WriteFile(m.v, name, data, 0o666), m.isDir(name)) {
		if f := m.files[key(name)]; f != nil { // truncated, and then there was no room
			f.data = m.readBack(f.name)
		} else if _, err := fs.Stat(m.v, name); err == nil && !m.isDir(name) {
			m.files[key(name)] = &modelFile{name, m.readBack(name)}
		}
		return
	}
	if f := m.files[key(name)]; f != nil {
		f.data = data
	} else {
		m.files[key(name)] = &modelFile{name, data}
	}
}

func (m *model) readBack(name string) []byte {
	p, err := fs.ReadFile(m.v, name)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// openFile keeps a handle.
func (m *model) openFile(t *rapid.T) {
	m.t = t
	name := m.existing()
	if name == "" || len(m.open) > 4 {
		return
	}
	f, err := m.v.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	m.open = append(m.open, &modelHandle{f, m.files[key(name)]})
}

func (m *model) handle() *modelHandle {
	if len(m.open) == 0 {
		return nil
	}
	return m.open[rapid.IntRange(0, len(m.open)-1).Draw(m.t, "handle")]
}

func (m *model) writeAt(t *rapid.T) {
	m.t = t
	h := m.handle()
	if h == nil {
		return
	}
	data := m.content()
	off := rapid.IntRange(0, len(h.file.data)+2000).Draw(t, "off")
	_, err := h.f.WriteAt(data, int64(off))
	if !m.check("WriteAt", err, false) || len(data) == 0 {
		return
	}
	for len(h.file.data) < off+len(data) {
		h.file.data = append(h.file.data, make([]byte, off+len(data)-len(h.file.data))...)
	}
	h.file.data = slices.Clone(h.file.data)
	copy(h.file.data[off:], data)
}

func (m *model) truncate(t *rapid.T) {
	m.t = t
	h := m.handle()
	if h == nil {
		return
	}
	n := rapid.IntRange(0, len(h.file.data)+3000).Draw(t, "size")
	if !m.check("Truncate", h.f.Truncate(int64(n)), false) {
		return
	}
	h.file.data = slices.Clone(h.file.data)
	if n < len(h.file.data) {
		h.file.data = h.file.data[:n]
	}
	h.file.data = append(h.file.data, make([]byte, n-len(h.file.data))...)
}

func (m *model) readHandle(t *rapid.T) {
	m.t = t
	if h := m.handle(); h != nil {
		got := make([]byte, len(h.file.data)+1)
		n, _ := h.f.ReadAt(got, 0)
		if !bytes.Equal(got[:n], h.file.data) {
			t.Fatalf("an open file reads %d bytes, want %d", n, len(h.file.data))
		}
	}
}

func (m *model) closeHandle(t *rapid.T) {
	m.t = t
	if len(m.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.open)-1).Draw(t, "handle")
	if err := m.open[i].f.Close(); err != nil {
		t.Fatal(err)
	}
	m.open = slices.Delete(m.open, i, i+1)
}

func (m *model) mkdir(t *rapid.T) {
	m.t = t
	name := m.name()
	_, isFile := m.files[key(name)]
	if m.check("mkdir "+name, m.v.Mkdir(name, 0o777), isFile || m.isDir(name)) {
		m.dirs[key(name)] = name
	}
}

// below reports whether anything is in a directory.
func (m *model) below(dir string) bool {
	prefix := key(dir) + "/"
	for k := range m.files {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	for k := range m.dirs {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

func (m *model) remove(t *rapid.T) {
	m.t = t
	name := m.name()
	_, isFile := m.files[key(name)]
	ok := isFile || m.isDir(name) && !m.below(name)
	if m.check("remove "+name, m.v.Remove(name), !ok) {
		delete(m.files, key(name))
		delete(m.dirs, key(name))
	}
}

func (m *model) rename(t *rapid.T) {
	m.t = t
	from, to := m.name(), m.name()
	_, fromFile := m.files[key(from)]
	_, toFile := m.files[key(to)]
	fromDir, toDir := m.isDir(from), m.isDir(to)
	same := key(from) == key(to)
	inside := fromDir && strings.HasPrefix(key(to), key(from)+"/")
	ok := (fromFile || fromDir) && !inside && (same || !(fromFile && toDir) && !(fromDir && toFile) && !(toDir && m.below(to)))
	if !m.check(fmt.Sprintf("rename %q to %q", from, to), m.v.Rename(from, to), !ok) {
		return
	}
	if fromFile {
		f := m.files[key(from)]
		delete(m.files, key(from))
		f.name = to
		m.files[key(to)] = f
		return
	}
	m.moveTree(from, to)
}

// moveTree renames a directory and all below it.
func (m *model) moveTree(from, to string) {
	dirs, files := map[string]string{}, map[string]*modelFile{}
	move := func(name string) string {
		if key(name) == key(from) || strings.HasPrefix(key(name), key(from)+"/") {
			return to + name[len(from):]
		}
		return name
	}
	for k, d := range m.dirs {
		if k != key(to) || key(from) == key(to) {
			dirs[key(move(d))] = move(d)
		}
	}
	for _, f := range m.files {
		f.name = move(f.name)
		files[key(f.name)] = f
	}
	m.dirs, m.files = dirs, files
}

func (m *model) sync(t *rapid.T) {
	m.t = t
	if err := m.v.Sync(); err != nil {
		t.Fatal(err)
	}
}

func (m *model) remount(t *rapid.T) { m.t = t; m.reopen() }

// compare compares the whole tree.
func (m *model) compare(t *rapid.T) {
	m.t = t
	seen := 0
	err := fs.WalkDir(m.v, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		if d.IsDir() {
			if spelled, ok := m.dirs[key(name)]; !ok || path.Base(spelled) != path.Base(name) {
				return fmt.Errorf("there is a directory %q, should be %q", name, spelled)
			}
			return nil
		}
		f := m.files[key(name)]
		if f == nil || path.Base(f.name) != path.Base(name) {
			return fmt.Errorf("there is a file %q", name)
		}
		info, err := d.Info()
		if err != nil || info.Size() != int64(len(f.data)) {
			return fmt.Errorf("%s has %v bytes, want %d (%v)", name, info.Size(), len(f.data), err)
		}
		got, err := fs.ReadFile(m.v, name)
		if err != nil || !bytes.Equal(got, f.data) {
			return fmt.Errorf("%s reads %d bytes, %v; want %d", name, len(got), err, len(f.data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(m.files) + len(m.dirs); seen != want {
		t.Fatalf("the tree has %d objects, want %d", seen, want)
	}
}

// TestModel drives random operations against the engine and the model.
func TestModel(t *testing.T) {
	fsck := tool(t, "fsck.fat")
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"write": m.writeFile, "writeAt": m.writeAt, "truncate": m.truncate,
			"open": m.openFile, "read": m.readHandle, "close": m.closeHandle,
			"mkdir": m.mkdir, "remove": m.remove, "rename": m.rename, "rename again": m.rename,
			"sync": m.sync, "remount": m.remount, "": m.compare,
		})
		m.t = t
		m.reopen()
		m.compare(t)
		if err := m.v.Close(); err != nil {
			t.Fatal(err)
		}
		judge(t, fsck, m.dev)
	})
}
