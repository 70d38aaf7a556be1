package fat_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/vfstest"
)

// tool returns the path of an external program that the test needs. Without it
// the test is skipped, or fails where CI is set.
func tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// mkfs makes an image with mkfs.fat.
func mkfs(t testing.TB, kib int, args ...string) *mem.Device {
	t.Helper()
	path := filepath.Join(t.TempDir(), "img")
	args = append(append([]string{"-C"}, args...), path, fmt.Sprint(kib))
	if out, err := exec.Command(tool(t, "mkfs.fat"), args...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.fat %v: %v\n%s", args, err, out)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return mem.FromBytes(p)
}

// save writes what is on the device to a sparse file.
func save(t testing.TB, d block.Device) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "saved.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	extents, err := block.AppendExtents(d, nil, 0, d.Size())
	if err == nil {
		err = f.Truncate(d.Size())
	}
	for _, e := range extents {
		if err != nil || e.Flags&block.Zero != 0 {
			continue
		}
		_, err = io.Copy(io.NewOffsetWriter(f, e.Off), io.NewSectionReader(d, e.Off, e.Len))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fsck fails the test if fsck.fat finds anything.
func fsck(t testing.TB, d block.Device) {
	t.Helper()
	path := save(t, d)
	out, err := exec.Command(tool(t, "fsck.fat"), "-n", "-v", path).CombinedOutput()
	if err != nil {
		if dir := os.Getenv("FATKIT_KEEP"); dir != "" {
			os.Rename(path, filepath.Join(dir, "fsck.img"))
		}
		t.Fatalf("fsck.fat -n: %v\n%s", err, out)
	}
}

// mount opens the volume and closes it at the end of the test.
func mount(t testing.TB, d block.Device, o fat.Options) *fat.Volume {
	t.Helper()
	v, err := fat.Open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// kinds are volumes of every type.
var kinds = []struct {
	name string
	kib  int
	args []string
}{
	{"fat12", 14 << 10, []string{"-F12", "-s8"}},
	{"fat16", 16 << 10, []string{"-F16", "-s2"}},
	{"fat32", 40 << 10, []string{"-F32", "-s1"}},
	{"fat32-4k-sectors", 300 << 10, []string{"-F32", "-S4096", "-s1"}},
}

func TestConformance(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			var dev *mem.Device
			vfstest.Run(t, func(t *testing.T) vfs.FS {
				dev = mkfs(t, k.kib, k.args...)
				return mount(t, dev, fat.Options{Location: time.UTC})
			}, vfstest.Options{
				IgnoresCase: true, KeepsCase: true, Attr: true, TimeStep: 2 * time.Second, OpenRemoved: true,
				Settle: func(t *testing.T, f vfs.FS) {
					if err := f.(*fat.Volume).Close(); err != nil {
						t.Fatal(err)
					}
					fsck(t, dev)
				},
			})
		})
	}
}

func TestStandardLibrarySuite(t *testing.T) {
	v := mount(t, mkfs(t, 4<<10), fat.Options{})
	if err := vfs.MkdirAll(v, "a/b", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/A long name.txt", "a/short", "EMPTY"} {
		if err := vfs.WriteFile(v, name, bytes.Repeat([]byte(name), 700), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := fstest.TestFS(v, "a/b/A long name.txt", "a/short", "EMPTY"); err != nil {
		t.Fatal(err)
	}
}
