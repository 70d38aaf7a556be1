package writeback_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback"
	"github.com/fatkit/fatkit/writeback/overlay"
)

// rig is a directory of the host, its session, and a guest that has mounted the
// disk.
type rig struct {
	t       testing.TB
	dir     string // the shared directory
	state   string
	layout  vvfat.Options
	o       writeback.Options
	tree    *hostfs.Root
	aside   *hostfs.Root
	jdir    hostfs.Dir
	file    block.Device
	scanned *vvfat.Tree
	lay     *vvfat.Layout
	s       *writeback.Session
	guest   *fat.Volume
	events  []string
	clock   time.Time
}

func newRig(t testing.TB, fatType int, files map[string]string) *rig {
	t.Helper()
	return newRigOf(t, fatType, files, func(*rig) {})
}

// newRigOf makes a rig of which some things are changed before it starts.
func newRigOf(t testing.TB, fatType int, files map[string]string, change func(r *rig)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), state: t.TempDir(), clock: time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC)}
	r.layout = vvfat.Options{FAT: fatType, Name: "share", Location: time.UTC}
	if fatType == 32 {
		r.layout.ClusterBytes, r.layout.SizeBytes = 512, 48<<20
	}
	r.o = writeback.Options{Settle: -1, MaxAge: time.Hour}
	for name, data := range files {
		r.hostWrite(name, data)
	}
	change(r)
	r.start(true)
	return r
}

func (r *rig) hostWrite(name, data string) {
	r.t.Helper()
	full := filepath.Join(r.dir, name)
	r.must(os.MkdirAll(filepath.Dir(full), 0o755))
	if strings.HasSuffix(name, "/") {
		r.must(os.MkdirAll(full, 0o755))
		return
	}
	r.must(os.WriteFile(full, []byte(data), 0o644))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// start opens the session: a new generation, or the one that was.
func (r *rig) start(fresh bool) {
	r.t.Helper()
	var err error
	r.tree, err = hostfs.OpenRoot(r.dir)
	r.must(err)
	r.must(os.MkdirAll(filepath.Join(r.state, "aside"), 0o700))
	r.aside, err = hostfs.OpenRoot(filepath.Join(r.state, "aside"))
	r.must(err)
	if fresh {
		r.scanned, err = vvfat.ScanHost(r.t.Context(), r.tree, vvfat.ScanOptions{})
		r.must(err)
		r.lay, err = vvfat.NewLayout(r.scanned, r.layout)
		r.must(err)
		r.save()
	}
	r.load()
	sroot, err := hostfs.OpenRoot(r.state)
	r.must(err)
	r.jdir, err = sroot.OpenDir(".")
	r.must(err)
	image := filepath.Join(r.state, "overlay.qcow2")
	if fresh {
		f, err := os.Create(image)
		r.must(err)
		r.must(f.Close())
	}
	r.file, err = file.Open(image, file.Options{})
	r.must(err)
	if fresh {
		r.must(overlay.Create(r.file, r.lay.Size()))
	}
	aside, err := r.aside.OpenDir(".")
	r.must(err)
	features, err := hostfs.Probe(aside)
	r.must(err)
	r.must(aside.Close())
	o := r.o
	o.Overlay.Unclean = !fresh
	o.Event = func(e writeback.Event) { r.events = append(r.events, e.Path+": "+e.Text) }
	r.s, err = writeback.Open(r.t.Context(), writeback.Place{
		Tree: r.tree, Aside: r.aside, Features: features, Journal: r.jdir, Overlay: r.file, Layout: r.lay,
	}, o)
	r.must(err)
	r.mount()
}

// save writes what makes the layout again, load makes it.
func (r *rig) save() {
	head, err := r.lay.EncodeHead()
	r.must(err)
	r.must(os.WriteFile(filepath.Join(r.state, "head"), head, 0o600))
	var tree bytes.Buffer
	r.must(r.lay.Tree().Encode(&tree))
	r.must(os.WriteFile(filepath.Join(r.state, "tree"), tree.Bytes(), 0o600))
}

func (r *rig) load() {
	head, err := os.ReadFile(filepath.Join(r.state, "head"))
	r.must(err)
	tree, err := os.ReadFile(filepath.Join(r.state, "tree"))
	r.must(err)
	r.scanned, err = vvfat.DecodeTree(bytes.NewReader(tree), r.tree)
	r.must(err)
	r.lay, err = vvfat.DecodeLayout(head, r.scanned)
	r.must(err)
}

// mount mounts the disk as a guest.
func (r *rig) mount() {
	r.t.Helper()
	section, err := block.NewSection(r.s.Disk(), r.lay.VolumeOffset(), r.lay.Size()-r.lay.VolumeOffset(), block.SectionOptions{})
	r.must(err)
	g, err := fat.Open(section, fat.Options{WriteBack: -1, Location: time.UTC, Now: r.now})
	r.must(err)
	r.guest = g
}

func (r *rig) now() time.Time {
	r.clock = r.clock.Add(20 * time.Millisecond)
	return r.clock
}

// sync has the guest write everything and the session commit it.
func (r *rig) sync() {
	r.t.Helper()
	r.must(r.guest.Sync())
	if err := r.s.Sync(r.t.Context()); err != nil {
		r.t.Fatalf("%v\n%+v", err, r.s.Status().Pending)
	}
}

// restart ends the session and resumes it.
func (r *rig) restart() {
	r.t.Helper()
	r.must(r.guest.Sync())
	r.must(r.s.Close(context.Background()))
	r.start(false)
}

// guestTree and hostTree return paths and contents.
func (r *rig) guestTree() map[string]string { return fatguest.Read(r.t, r.guest) }
func (r *rig) hostTree() map[string]string  { return fatguest.Read(r.t, os.DirFS(r.dir)) }

// same fails unless the host has what the guest has.
func (r *rig) same() {
	r.t.Helper()
	if d := fatguest.Difference(r.guestTree(), r.hostTree()); d != "" {
		r.t.Fatalf("the host has not what the guest has:\n%s\nstatus: %+v\nevents: %v", d, r.s.Status(), r.events)
	}
}
