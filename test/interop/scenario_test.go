package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// flushing is when a client flushes.
type flushing int

const (
	everyPhase flushing = iota // and then rests until the directory was looked at
	atTheEnd                   // so that everything is one commit
	never                      // the server commits after a quiet time
)

func (f flushing) String() string {
	return []string{"flush every phase", "flush at the end", "no flush"}[f]
}

// scenarioPatience ends the wait for a commit.
const scenarioPatience = time.Minute

// TestScenarios lets guests of all kinds do what guests do, over NBD, on a
// directory of some thirty files: the directory holds afterwards what the guest
// sees, and the disk is what the guest wrote. The short form runs each scenario
// once with each FAT type, in an order of writes that differs from one to the
// next.
func TestScenarios(t *testing.T) {
	tools.Need(t, "fsck.fat")
	for i, name := range slices.Sorted(maps.Keys(scenarios)) {
		t.Run(name, func(t *testing.T) {
			for j, typ := range []int{12, 16, 32} {
				for k, o := range orders {
					for _, f := range []flushing{everyPhase, atTheEnd, never} {
						rotated := k == (4*i+j)%len(orders) && int(f) == (i+j)%3
						if !product.Long() && (!rotated || scenarios[name].big && j > 0) {
							continue
						}
						t.Run(fmt.Sprintf("FAT%d, %s, %v", typ, o.name, f), func(t *testing.T) {
							t.Parallel()
							playScenario(t, scenarios[name], typ, o, f)
						})
					}
				}
			}
		})
	}
}

// stage is a served directory with a client.
type stage struct {
	t       *testing.T
	dir     string
	s       *product.Server
	control string
	c       *nbd.Client
}

// scenarioArgs are the disks of the three types: with a cluster of several
// sectors and of one, with and without a table.
var scenarioArgs = map[int][]string{
	12: {"--table", "none", "--size", "14M", "--cluster", "4K"},
	16: {"--table", "mbr", "--size", "18M", "--cluster", "2K"},
	32: {"--table", "gpt", "--size", "36M", "--cluster", "512"},
}

func newStage(t *testing.T, sc scenario, typ int, f flushing) *stage {
	t.Helper()
	st := &stage{t: t, dir: t.TempDir()}
	for name, text := range scenarioFixture() {
		full := filepath.Join(st.dir, name)
		st.must(os.MkdirAll(filepath.Dir(full), 0o755))
		st.must(os.WriteFile(full, []byte(text), 0o644))
	}
	st.must(filepath.WalkDir(st.dir, func(p string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(p, scenarioTime, scenarioTime))
	}))
	args := []string{"--rw", "--state", t.TempDir(), "--timezone", "utc", "--quiet", "--fat", fmt.Sprint(typ)}
	if f == never {
		args = append(args, "--settle", "20ms")
	} else { // nothing but a flush begins a commit
		args = append(args, "--settle", "1h", "--max-age", "2h")
	}
	if sc.big {
		args = append(args, "--size", "120M")
	} else {
		args = append(args, scenarioArgs[typ]...)
	}
	st.s = product.Serve(t, append(args, st.dir)...)
	found, err := filepath.Glob(filepath.Join(filepath.Dir(st.s.Socket), "fatkit", "*", "control.sock"))
	if err != nil || len(found) != 1 {
		t.Fatalf("control sockets %v: %v", found, err)
	}
	st.control = found[0]
	st.c, err = nbd.Dial(t.Context(), st.s.URI)
	st.must(err)
	return st
}

func (st *stage) must(err error) {
	st.t.Helper()
	if err != nil {
		st.t.Fatal(err)
	}
}

// status asks the server how writing back stands.
func (st *stage) status() *stack.WriteStatus {
	st.t.Helper()
	reply, err := server.Ask(st.t.Context(), st.control, server.Request{Command: server.CommandStatus})
	st.must(err)
	return reply.Status.Exports[0].Writing
}

// wait returns the status as soon as it is as wished.
func (st *stage) wait(what string, wish func(w *stack.WriteStatus) bool) *stack.WriteStatus {
	st.t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		w := st.status()
		if wish(w) {
			return w
		}
		if time.Since(began) > scenarioPatience {
			st.t.Fatalf("%s: %+v\n%s", what, w, st.s.Log())
		}
	}
}

// copyDisk reads the whole disk.
func (st *stage) copyDisk() *mem.Device {
	st.t.Helper()
	disk := mem.New(st.c.Size())
	p := make([]byte, 1<<20)
	for off := int64(0); off < disk.Size(); off += int64(len(p)) {
		p = p[:min(int64(len(p)), disk.Size()-off)]
		_, err := st.c.ReadAt(p, off)
		st.must(err)
		if !isZero(p) {
			_, err := disk.WriteAt(p, off)
			st.must(err)
		}
	}
	return disk
}

// write writes sectors as a client does: neighbours in one request.
func (st *stage) write(s []sector) {
	st.t.Helper()
	for len(s) > 0 {
		n := 1
		for n < len(s) && n < 512 && s[n].off == s[n-1].off+sectorBytes {
			n++
		}
		var p []byte
		for _, x := range s[:n] {
			p = append(p, x.bytes...)
		}
		_, err := st.c.WriteAt(p, s[0].off)
		st.must(err)
		s = s[n:]
	}
}

// perform writes what a guest wrote to its copy to the served disk.
func (st *stage) perform(steps []step, o order, f flushing) {
	st.t.Helper()
	rnd := rand.New(rand.NewPCG(1, uint64(len(steps))))
	for _, s := range steps {
		phases := [][]sector{s.sectors}
		if !s.whole {
			phases = o.phases(s.sectors, rnd)
		}
		for _, p := range phases {
			st.write(p)
			if f == everyPhase {
				st.must(st.c.Flush())
				st.wait("a flush", func(w *stack.WriteStatus) bool { return !w.Unsynced })
			}
		}
	}
	if f == atTheEnd {
		st.must(st.c.Flush())
	}
}

func playScenario(t *testing.T, sc scenario, typ int, o order, f flushing) {
	st := newStage(t, sc, typ, f)
	disk := st.copyDisk()
	g := newDesk(t, disk)
	sc.do(g)
	g.finish(sc.dirty)
	st.perform(g.steps, o, f)
	st.wait("the last commit", func(w *stack.WriteStatus) bool { return !w.Unsynced && (sc.waits || w.PendingCount == 0) })
	img := filepath.Join(t.TempDir(), "volume.img")
	st.sameDisk(disk, g.off, img)
	st.must(st.c.Close())
	w := st.wait("the end", (*stack.WriteStatus).Done)
	if w.ConflictCount > 0 || len(w.Kept) > 0 {
		t.Errorf("%+v", w)
	}
	st.inTrash(sc.trash)
	st.judge(sc, disk, img)
}

// inTrash fails unless files are in the trash.
func (st *stage) inTrash(names []string) {
	st.t.Helper()
	reply, err := server.Ask(st.t.Context(), st.control, server.Request{Command: server.CommandTrash})
	st.must(err)
	for _, name := range names {
		if !slices.ContainsFunc(reply.Steered[0].Trash, func(x stack.Trashed) bool { return x.Path == name }) {
			st.t.Errorf("%s is not in the trash: %+v", name, reply.Steered[0].Trash)
		}
	}
}

// sameDisk fails unless the served disk is what the guest has made of it, and
// writes a copy of its volume.
func (st *stage) sameDisk(want *mem.Device, volume int64, img string) {
	st.t.Helper()
	f, err := os.Create(img)
	st.must(err)
	st.must(f.Truncate(want.Size() - volume))
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < want.Size(); off += int64(len(p)) {
		n := min(int64(len(p)), want.Size()-off)
		_, err := st.c.ReadAt(p[:n], off)
		st.must(err)
		_, err = want.ReadAt(q[:n], off)
		st.must(err)
		if !bytes.Equal(p[:n], q[:n]) {
			st.t.Fatalf("the served disk is not what was written, between %d and %d", off, off+n)
		}
		skip := min(max(0, volume-off), n)
		if !isZero(p[skip:n]) {
			_, err = f.WriteAt(p[skip:n], off+skip-volume)
			st.must(err)
		}
	}
	st.must(f.Close())
}

// judge compares the directory with what the guest sees, and has the volume
// checked.
func (st *stage) judge(sc scenario, disk *mem.Device, vol string) {
	st.t.Helper()
	tree, err := fatread.Read(disk, disk.Size(), fatread.Options{DecodeShort: decode437, Used: true})
	if err != nil && sc.complaint == "" || tree == nil {
		st.t.Fatal(err)
	}
	hosttree.Compare(st.t, tree, hosttree.Read(st.t, st.dir), hosttree.Same)
	if sc.complaint == "" {
		fsckVolume(st.t, vol)
		return
	}
	if r := tools.Try(st.t, "fsck.fat", "-n", "-v", vol); !strings.Contains(r.Stdout, sc.complaint) {
		st.t.Errorf("fsck.fat does not say %q:\n%s%s", sc.complaint, r.Stdout, r.Stderr)
	}
}
