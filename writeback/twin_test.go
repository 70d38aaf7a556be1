package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/crash"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttwin"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback"
	"github.com/fatkit/fatkit/writeback/overlay"
)

// world is a host in memory, with a shared directory, the state of its session,
// and the device that holds the overlay.
type world struct {
	t       testing.TB
	m       *hosttwin.Machine
	dev     *crash.Device
	head    []byte
	fsid    uint64
	shape   vvfat.Options
	tree    strings.Builder
	s       *writeback.Session
	lay     *vvfat.Layout
	guest   *fat.Volume
	clock   time.Time
	unclean bool
	deletes int // MaxDeletes; 0 is no limit that matters
	events  []writeback.Event
	tune    func(*writeback.Options)        // may be nil
	flushed func()                          // is called when the guest has flushed a round of the script; may be nil
	before  func(block.Device) block.Device // stands before dev, if it is set
}

const overlayBytes = 64 << 20

func newWorld(t testing.TB, typ int, files map[string]string) *world {
	t.Helper()
	o := vvfat.Options{FAT: typ}
	if typ == 32 {
		o.ClusterBytes, o.SizeBytes = 512, 48<<20
	}
	return newWorldOf(t, o, files)
}

// newWorldOf makes a world whose disk has another shape.
func newWorldOf(t testing.TB, o vvfat.Options, files map[string]string) *world {
	t.Helper()
	w := &world{t: t, m: hosttwin.New(), dev: crash.New(overlayBytes), clock: time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC)}
	root := w.m.Foreign(".")
	for _, dir := range []string{"share", "state", "state/aside"} {
		w.must(mkdir(root, dir))
	}
	share := w.m.Foreign("share")
	var names []string
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		w.must(hostWrite(share, name, files[name]))
	}
	w.m.Settle()
	o.Name, o.Location = "share", time.UTC
	w.shape = o
	lay := w.present(o)
	u, err := share.Usage()
	w.must(err)
	w.fsid = u.FSID
	w.must(overlay.Create(w.dev, lay.Size()))
	return w
}

// present lays the share out as the disk of a generation.
func (w *world) present(o vvfat.Options) *vvfat.Layout {
	w.t.Helper()
	tree, err := vvfat.ScanHost(w.t.Context(), w.m.Foreign("share"), vvfat.ScanOptions{})
	w.must(err)
	lay, err := vvfat.NewLayout(tree, o)
	w.must(err)
	w.head, err = lay.EncodeHead()
	w.must(err)
	w.tree.Reset()
	w.must(tree.Encode(&w.tree))
	return lay
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func mkdir(w hostfs.Writable, path string) error {
	err := hostfs.InDir(w, path, func(d hostfs.Dir, name string) error { return d.Mkdir(name, 0o755) })
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// hostWrite makes a file, or with a slash at its end a directory, with the
// directories above it.
func hostWrite(w hostfs.Writable, path, data string) error {
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i++ {
		if err := mkdir(w, strings.Join(parts[:i], "/")); err != nil {
			return err
		}
	}
	if strings.HasSuffix(path, "/") {
		return nil
	}
	return hostfs.InDir(w, path, func(d hostfs.Dir, name string) error {
		f, err := d.OpenFile(name)
		if errors.Is(err, os.ErrNotExist) {
			f, err = d.Create(name, 0o644)
		}
		if err != nil {
			return err
		}
		err = f.Truncate(0)
		if err == nil && data != "" {
			_, err = f.WriteAt([]byte(data), 0)
		}
		return errors.Join(err, f.Sync(), f.Close())
	})
}

// open opens the session on what the machine holds.
func (w *world) open() error {
	share := w.m.Root("share")
	tree, err := vvfat.DecodeTree(strings.NewReader(w.tree.String()), share)
	if err != nil {
		return err
	}
	lay, err := vvfat.DecodeLayout(w.head, tree)
	if err != nil {
		return err
	}
	jdir, err := w.m.Root("state").OpenDir(".")
	if err != nil {
		return err
	}
	o := writeback.Options{Settle: -1, MaxAge: time.Hour, MaxDeletes: 1 << 20, Now: w.now}
	if w.deletes > 0 {
		o.MaxDeletes = w.deletes
	}
	o.Event = func(e writeback.Event) { w.events = append(w.events, e) }
	o.Overlay.Unclean = w.unclean
	if w.tune != nil {
		w.tune(&o)
	}
	features := hostfs.Features{NoReplace: true, Exchange: true, Link: true, Birth: true, UserXattr: true}
	w.s, err = writeback.Open(w.t.Context(), writeback.Place{
		Tree: share, Aside: w.m.Root("state/aside"), Features: features, Journal: jdir, Overlay: unclosed{w.device()}, Layout: lay, FSID: w.fsid,
	}, o)
	if err != nil {
		return err
	}
	w.lay, w.unclean = lay, true
	return nil
}

// device returns what holds the overlay, with what a test has put before it.
func (w *world) device() block.Device {
	if w.before == nil {
		return w.dev
	}
	return w.before(w.dev)
}

// unclosed is a device that outlives its session.
type unclosed struct{ block.Device }

func (unclosed) Close() error { return nil }

func (w *world) mount() {
	w.t.Helper()
	section, err := block.NewSection(w.s.Disk(), w.lay.VolumeOffset(), w.lay.Size()-w.lay.VolumeOffset(), block.SectionOptions{})
	w.must(err)
	w.guest, err = fat.Open(section, fat.Options{WriteBack: -1, Location: time.UTC, Now: w.now})
	w.must(err)
}

func (w *world) now() time.Time {
	w.clock = w.clock.Add(20 * time.Millisecond)
	return w.clock
}

// abandon ends the session as a crash does.
func (w *world) abandon() { w.s.Abandon() }

func (w *world) hostTree() map[string]string { return w.treeAt("share") }

// treeAt returns what a directory of the host holds.
func (w *world) treeAt(dir string) map[string]string {
	w.t.Helper()
	out, err := readHost(w.m.Foreign(dir))
	w.must(err)
	return out
}

// readHost returns what a tree holds, but for what cannot be read, of which it
// returns the error.
func readHost(root hostfs.Writable) (map[string]string, error) {
	out := map[string]string{}
	var errs []error
	var walk func(dir, at string)
	walk = func(dir, at string) {
		var l hostfs.Listing
		errs = append(errs, root.ReadDir(dir, &l))
		for i := range l.Entries {
			e := &l.Entries[i]
			name := at + string(l.NameOf(e))
			if e.Mode.IsDir() {
				out[name+"/"] = ""
				walk(name, name+"/")
				continue
			}
			b, err := readHostFile(root, name)
			errs = append(errs, err)
			out[name] = string(b)
		}
	}
	walk(".", "")
	return out, errors.Join(errs...)
}

func readHostFile(root hostfs.Writable, name string) ([]byte, error) {
	f, st, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, st.Size)
	if st.Size > 0 {
		_, err = f.ReadAt(b, 0)
	}
	return b, errors.Join(err, f.Close())
}

func (w *world) guestTree() map[string]string { return fatguest.Read(w.t, w.guest) }

// same fails unless the host has what the guest has.
func (w *world) same(what string) {
	w.t.Helper()
	if d := fatguest.Difference(w.guestTree(), w.hostTree()); d != "" {
		w.t.Fatalf("%s: the host has not what the guest has:\n%s\nstatus: %+v", what, d, w.s.Status())
	}
}

// TestModel lets a guest do random things on a random tree; after each sync the
// host has what the guest has, also after the server was killed or the power cut.
func TestModel(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			for seed := range fatguest.Seeds(6) {
				model(t, typ, uint64(seed))
			}
		})
	}
}

func model(t *testing.T, typ int, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, uint64(typ)))
	w := newWorld(t, typ, lowerFixture)
	w.must(w.open())
	w.mount()
	w.same("at the start")
	var log []string
	for round := range 25 {
		for range 1 + rnd.IntN(4) {
			log = append(log, fatguest.Step(w.guest, w.guestTree(), rnd))
		}
		w.must(w.guest.Sync())
		if err := w.s.Sync(t.Context()); err != nil {
			t.Fatalf("FAT%d seed %d round %d: %v\n%+v\n%s", typ, seed, round, err, w.s.Status(), tail(log))
		}
		w.same(fmt.Sprintf("FAT%d seed %d round %d\n%s\n", typ, seed, round, tail(log)))
		switch rnd.IntN(6) {
		case 0:
			w.abandon()
			w.m = w.m.Kill()
		case 1:
			w.abandon()
			w.m, w.dev = w.m.Reboot(rnd.Uint64()), w.dev.Cut(w.dev.Events(), rnd.Uint64())
		default:
			continue
		}
		log = append(log, "restart")
		w.must(w.open())
		w.mount()
	}
	w.must(w.s.Close(context.Background()))
}

func tail(log []string) string { return strings.Join(log[max(0, len(log)-10):], "\n") }

var lowerFixture = map[string]string{
	"a.txt": "first", "b.txt": strings.Repeat("second", 1000), "Long Name.text": "third",
	"d/x": "x", "d/y": strings.Repeat("y", 7000), "d/e/deep.bin": strings.Repeat("deep", 500), "empty": "", "d2/": "",
}

// progress says how far a script came: the last round that the guest had flushed,
// and whether it was in the middle of another.
type progress struct {
	round  int
	during bool
}

// script is a run of rounds that touches every kind of step: creations,
// replacements, patches, renames in a cycle, deletions, directories.
func script(w *world, do func(round string)) (p progress, err error) {
	rounds := []struct {
		name string
		run  func(g *fat.Volume) error
	}{
		{"replace base files", func(g *fat.Volume) error {
			return errors.Join(fatguest.Patch(g, "b.txt", []byte("patched"), 100), fatguest.Patch(g, "d/y", []byte("longer"), 8000), fatguest.Truncate(g, "a.txt", 0))
		}},
		{"create", func(g *fat.Volume) error {
			return errors.Join(g.MkdirAll("n/m", 0o777), vfs.WriteFile(g, "n/m/f", []byte(strings.Repeat("f", 3000)), 0o666), vfs.WriteFile(g, "n/g", []byte("g"), 0o666))
		}},
		{"patch made files", func(g *fat.Volume) error {
			return errors.Join(fatguest.Patch(g, "b.txt", []byte("again"), 3000), fatguest.Patch(g, "n/m/f", []byte("tail"), 5000), fatguest.Truncate(g, "d/y", 500))
		}},
		{"cycle of names", func(g *fat.Volume) error {
			return errors.Join(g.Rename("a.txt", "tmp"), g.Rename("b.txt", "a.txt"), g.Rename("n/g", "b.txt"), g.Rename("tmp", "n/g"))
		}},
		{"rename and rewrite", func(g *fat.Volume) error {
			return errors.Join(g.Rename("d/x", "d/z"), fatguest.Patch(g, "d/z", []byte("rewritten"), 0))
		}},
		{"move directories", func(g *fat.Volume) error {
			return errors.Join(g.Rename("d/e", "n/m/e"), g.Rename("n", "d2/n"), g.Rename("d2/n/m/e/deep.bin", "deep"))
		}},
		{"delete", func(g *fat.Volume) error {
			return errors.Join(g.RemoveAll("d2"), g.Remove("Long Name.text"), g.Remove("empty"))
		}},
		{"replace by rename", func(g *fat.Volume) error {
			return errors.Join(vfs.WriteFile(g, "new", []byte("new contents"), 0o666), g.Rename("new", "a.txt"))
		}},
	}
	for i, round := range rounds {
		p.during = true
		if err := round.run(w.guest); err != nil {
			return p, fmt.Errorf("%s: %w", round.name, err)
		}
		if err := w.guest.Sync(); err != nil {
			return p, fmt.Errorf("%s: %w", round.name, err)
		}
		p = progress{round: i + 1}
		if w.flushed != nil {
			w.flushed()
		}
		if err := w.s.Sync(w.t.Context()); err != nil {
			return p, fmt.Errorf("%s: %w", round.name, err)
		}
		do(round.name)
	}
	return p, nil
}

// TestCrash stops the host at every operation of a scripted run: the process
// dies, or the power fails. After a restart the host has what the guest has, and
// everything that the guest had flushed is there.
func TestCrash(t *testing.T) {
	step := 41
	if os.Getenv("FATKIT_LONG") != "" {
		step = 1
	}
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			w := newWorld(t, typ, lowerFixture)
			w.must(w.open())
			w.mount()
			trees := []map[string]string{w.guestTree()}
			_, err := script(w, func(round string) {
				w.same(round)
				trees = append(trees, w.guestTree())
			})
			w.must(err)
			w.abandon()
			w = newWorld(t, typ, lowerFixture)
			w.must(w.open())
			w.mount()
			before := w.m.Ops()
			_, err = script(w, func(string) {})
			w.must(err)
			ops := w.m.Ops() - before
			w.abandon()
			t.Logf("%d operations", ops)
			for k := typ % step; k < ops; k += step {
				for _, seed := range []uint64{0, 1, 2 + uint64(k)} {
					crashAt(t, typ, k, seed, trees)
				}
			}
		})
	}
}

// crashAt stops the script at operation k. Seed 1 kills the process, others cut
// the power.
func crashAt(t *testing.T, typ, k int, seed uint64, trees []map[string]string) {
	w := newWorld(t, typ, lowerFixture)
	w.must(w.open())
	w.mount()
	w.m.CutAt(k)
	p, err := script(w, func(string) {})
	if err == nil {
		w.abandon() // a commit in the background made do with fewer operations
		return
	}
	what := fmt.Sprintf("FAT%d, operation %d (%s), seed %d: %v\n", typ, k, w.m.Describe(k), seed, err)
	w.abandon()
	if seed == 1 {
		w.m = w.m.Kill()
	} else {
		w.m, w.dev = w.m.Reboot(seed), w.dev.Cut(w.dev.Events(), seed)
	}
	if err := w.open(); err != nil {
		t.Fatalf("%sresume: %v", what, err)
	}
	w.mount()
	if d := fatguest.Difference(trees[p.round], w.guestTree()); d != "" && !p.during {
		t.Fatalf("%sthe guest's disk is not what was flushed:\n%s", what, d)
	}
	if err := w.s.Sync(t.Context()); err != nil {
		t.Fatalf("%ssync: %v\n%+v", what, err, w.s.Status())
	}
	w.same(what)
	if c := w.s.Status().Conflicts; len(c) > 0 {
		t.Fatalf("%sour own operations were taken for the host's: %+v", what, c)
	}
	w.must(w.s.Close(context.Background()))
}
