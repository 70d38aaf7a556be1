package mount

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/fusemount"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

func TestMain(m *testing.M) { product.Main(m) }

// patience ends a wait for something that does not come. It is no measure of
// speed.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needFUSE leaves a test out where there is no FUSE, as in a container without the
// device.
func needFUSE(t testing.TB) {
	t.Helper()
	if err := tools.FUSE(); err != nil {
		t.Skipf("left out: no FUSE on this machine: %v", err)
	}
}

// notShort leaves a test out of the short form, which is for the race detector:
// it runs programs, of which that sees little. The test runs without it, too.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out of the short form")
	}
}

// sizes are those of the volumes by type, in bytes.
var sizes = map[int]int64{12: 12 << 20, 16: 40 << 20, 32: 96 << 20}

// volume is a mounted volume on a device in memory.
type volume struct {
	dir    string
	dev    block.Device
	server *fusemount.Server
	fat    *fat.Volume
}

// newVolume makes a volume and mounts it, for as long as the test lasts.
func newVolume(t *testing.T, bits int, o fusemount.Options) *volume {
	t.Helper()
	needFUSE(t)
	dev := mem.New(sizes[bits])
	f := fat.FormatOptions{Type: bits}
	if bits == 12 {
		f.ClusterBytes = 4096
	}
	_, err := fat.Format(dev, f)
	must(t, err)
	return mountDevice(t, dev, o)
}

// mountDevice mounts the volume on a device. At the end of the test it is unmounted,
// and fsck.fat finds nothing.
func mountDevice(t *testing.T, dev block.Device, o fusemount.Options) *volume {
	t.Helper()
	f, err := fat.Open(dev, fat.Options{ReadOnly: o.ReadOnly, WriteBack: time.Minute})
	must(t, err)
	v := &volume{dir: t.TempDir(), dev: dev, fat: f}
	v.server, err = fusemount.Mount(v.dir, f, o)
	must(t, err)
	t.Cleanup(func() {
		v.unmount(t)
		check(t, dev)
	})
	return v
}

// unmount ends the mount.
func (v *volume) unmount(t *testing.T) {
	t.Helper()
	if v.server == nil {
		return
	}
	if err := v.server.Unmount(0); err != nil {
		t.Error(err)
		v.server.Unmount(fusemount.Lazy)
	}
	v.server.Wait()
	v.server = nil
	must(t, v.fat.Close())
}

// check lets fsck.fat look at a device.
func check(t *testing.T, dev block.Device) {
	t.Helper()
	tools.Need(t, "fsck.fat")
	img := filepath.Join(t.TempDir(), "img")
	f, err := os.Create(img)
	must(t, err)
	_, err = io.Copy(f, io.NewSectionReader(dev, 0, dev.Size()))
	must(t, err)
	must(t, f.Close())
	// Not by tools.Run: the test's context has ended.
	if said, err := exec.Command(tools.Lookup("fsck.fat"), "-n", img).CombinedOutput(); err != nil {
		t.Errorf("fsck.fat: %v\n%s", err, said)
	}
}

// path returns the path of something in the mount.
func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

func TestFS(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		v := newVolume(t, 16, fusemount.Options{})
		for name, text := range map[string]string{"a.txt": "a", "dir/sub/b.txt": "bb", "empty": ""} {
			must(t, os.MkdirAll(filepath.Dir(v.path(name)), 0o777))
			must(t, os.WriteFile(v.path(name), []byte(text), 0o666))
		}
		if readOnly {
			v.unmount(t)
			v = mountDevice(t, v.dev, fusemount.Options{ReadOnly: true})
		}
		if err := fstest.TestFS(os.DirFS(v.dir), "a.txt", "dir/sub/b.txt", "empty"); err != nil {
			t.Error(err)
		}
	}
}

// What fsync returned for is on the disk, whatever comes after.
func TestSyncedIsOnDisk(t *testing.T) {
	v := newVolume(t, 32, fusemount.Options{})
	f, err := os.Create(v.path("synced.txt"))
	must(t, err)
	_, err = f.WriteString("on the disk")
	must(t, err)
	must(t, f.Sync())
	now := mem.New(v.dev.Size())
	buf := make([]byte, v.dev.Size())
	must(t, block.ReadFull(v.dev, buf, 0))
	_, err = now.WriteAt(buf, 0)
	must(t, err)
	crashed, err := fat.Open(now, fat.Options{ReadOnly: true})
	must(t, err)
	g, err := crashed.Open("synced.txt")
	must(t, err)
	got, err := io.ReadAll(g)
	must(t, err)
	if string(got) != "on the disk" {
		t.Errorf("after a crash the file holds %q", got)
	}
	must(t, f.Close())
	must(t, fusemount.Sync(v.dir))
}

// A device as a file in a directory, and in the place of a file.
func TestAsFile(t *testing.T) {
	needFUSE(t)
	dev := mem.New(4 << 20)
	_, err := fat.Format(dev, fat.FormatOptions{})
	must(t, err)
	at := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(at, nil, 0o666))
	dir := t.TempDir()
	for where, file := range map[string]string{dir: filepath.Join(dir, "x.img"), at: at} {
		s, err := fusemount.MountDevice(where, dev, "x.img", fusemount.Options{})
		must(t, err)
		func() {
			defer s.Wait()
			defer s.Unmount(fusemount.Lazy)
			asFile(t, file, dev)
		}()
	}
}

func asFile(t *testing.T, file string, dev block.Device) {
	fi, err := os.Stat(file)
	must(t, err)
	if fi.Size() != dev.Size() || !fi.Mode().IsRegular() {
		t.Errorf("%s is %v of %d bytes", file, fi.Mode(), fi.Size())
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_TRUNC, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("written"), 1<<20+3)
	must(t, err)
	must(t, f.Sync())
	got := make([]byte, 7)
	must(t, block.ReadFull(dev, got, 1<<20+3))
	if string(got) != "written" {
		t.Errorf("the device holds %q", got)
	}
	if n, err := unix.Pwrite(int(f.Fd()), make([]byte, 10), dev.Size()-5); n != 5 || err != nil {
		t.Errorf("a write across the end wrote %d bytes: %v", n, err)
	}
	if n, err := unix.Pwrite(int(f.Fd()), make([]byte, 10), dev.Size()); err != unix.ENOSPC {
		t.Errorf("a write at the end wrote %d bytes: %v", n, err)
	}
	if err := f.Truncate(dev.Size() + 1); err == nil {
		t.Error("a device became larger")
	}
	if err := os.Remove(file); err == nil {
		t.Error("a device was removed")
	}
}
