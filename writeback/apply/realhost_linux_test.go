package apply

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/tools"
)

// errKilled is what every call fails with after the server was killed.
var errKilled = errors.New("killed")

// killer counts the changes of structure of a server on the real host, and
// stops it before one of them.
type killer struct{ left int }

func (k *killer) change(do func() error) error {
	if k.left == 0 {
		return errKilled
	}
	k.left--
	return do()
}

func (k *killer) tree(w hostfs.Writable) hostfs.Writable { return &killTree{w, k} }

type killTree struct {
	hostfs.Writable
	k *killer
}

func (t *killTree) OpenDir(p string) (hostfs.Dir, error) { return t.k.dir(t.Writable.OpenDir(p)) }
func (t *killTree) SyncFS() error                        { return t.k.change(t.Writable.SyncFS) }

func (k *killer) dir(d hostfs.Dir, err error) (hostfs.Dir, error) {
	if err != nil {
		return nil, err
	}
	return &killDir{d, k}, nil
}

type killDir struct {
	hostfs.Dir
	k *killer
}

func (d *killDir) OpenDir(name string) (hostfs.Dir, error) { return d.k.dir(d.Dir.OpenDir(name)) }
func (d *killDir) Sync() error                             { return d.k.change(d.Dir.Sync) }
func (d *killDir) Rmdir(name string) error {
	return d.k.change(func() error { return d.Dir.Rmdir(name) })
}
func (d *killDir) Unlink(name string) error {
	return d.k.change(func() error { return d.Dir.Unlink(name) })
}
func (d *killDir) Mkdir(name string, perm os.FileMode) error {
	return d.k.change(func() error { return d.Dir.Mkdir(name, perm) })
}
func (d *killDir) Rename(name string, to hostfs.Dir, newName string, mode hostfs.RenameMode) error {
	return d.k.change(func() error { return d.Dir.Rename(name, to.(*killDir).Dir, newName, mode) })
}

func (d *killDir) Create(name string, perm os.FileMode) (f hostfs.WFile, err error) {
	err = d.k.change(func() error {
		f, err = d.Dir.Create(name, perm)
		return err
	})
	return f, err
}

// realHost makes the tree in a directory.
func realHost(t testing.TB, parent string) (*host, *killer) {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "fatkit")
	if err != nil {
		tools.Missing(t, err.Error())
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := &killer{left: -1}
	h := &host{TB: t, dir: dir, cut: k.tree}
	h.makeTree()
	h.ids = h.describe()
	return h, k
}

// TestRealHost commits on the file systems of temporary files and of memory.
func TestRealHost(t *testing.T) {
	for name, parent := range map[string]string{"temp": t.TempDir(), "memory": "/dev/shm"} {
		t.Run(name, func(t *testing.T) {
			h, _ := realHost(t, parent)
			res, err := h.work()
			h.must(err)
			h.check(fmt.Sprintf("%+v", res))
		})
	}
}

// TestRealHostKilled kills the server before every change of structure, and the
// next one before another.
func TestRealHostKilled(t *testing.T) {
	step := 6
	if long() {
		step = 1
	}
	for n := 0; ; n += step {
		h, k := realHost(t, "/dev/shm")
		k.left = n
		_, err := h.work()
		if err == nil {
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("killed at %d: %v", n, err)
		}
		k.left = n / 3
		h.work()
		k.left = -1
		if _, err := h.work(); err != nil {
			t.Fatalf("after a kill at %d: %v", n, err)
		}
		h.check(fmt.Sprintf("killed at %d", n))
		if t.Failed() {
			return
		}
	}
}

// BenchmarkCommit reports how long a commit of new files takes; cp -r of as
// many is the measure beside it.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 1000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var ours, copies time.Duration
			for b.Loop() {
				h, _ := realHost(b, "")
				s, err := h.start()
				h.must(err)
				since := time.Now()
				h.must(commitFiles(s.x, h.ids["."], n))
				ours += time.Since(since)
				b.StopTimer()
				since = time.Now()
				h.must(exec.Command("cp", "-r", filepath.Join(h.dir, "share"), filepath.Join(h.dir, "copy")).Run())
				copies += time.Since(since)
				os.RemoveAll(h.dir)
				b.StartTimer()
			}
			b.ReportMetric(ours.Seconds()*1000/float64(b.N), "ms/commit")
			b.ReportMetric(copies.Seconds()*1000/float64(b.N), "ms/cp")
		})
	}
}

// commitFiles makes n small files in the root.
func commitFiles(x *Executor, root hostfs.Identity, n int) error {
	st := x.NewStager([]Dir{{ID: root}})
	defer st.Close()
	p := &Plan{Epoch: 1}
	content := strings.Repeat("x", 1000)
	for i := range n {
		o, err := st.File(context.Background(), &Spec{Perm: 0o644, Mtime: 1e18, Atime: hostfs.NoTime, SizeBytes: 1000, Content: strings.NewReader(content)})
		if err != nil {
			return err
		}
		p.Moves = append(p.Moves, Move{Tag: uint64(i), Object: o.ID, From: o.At, To: Place{0, fmt.Sprintf("file%d", i)}})
	}
	if err := st.Sync(); err != nil {
		return err
	}
	p.Dirs = st.Dirs()
	_, err := x.Execute(context.Background(), p, nil)
	return err
}
