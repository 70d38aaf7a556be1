package fat_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	if err := saveTo(path, d); err != nil {
		t.Fatal(err)
	}
	return path
}

func saveTo(path string, d block.Device) error {
	f, err := os.Create(path)
	if err != nil {
		return err
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
	return err
}

// image returns what is on the device.
func image(t testing.TB, d block.Device) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	if err := block.ReadFull(d, p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// fsck fails the test if fsck.fat finds anything.
func fsck(t testing.TB, d block.Device) {
	t.Helper()
	check(t, d)
	fsckFile(t, save(t, d))
}

func fsckFile(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command(tool(t, "fsck.fat"), "-n", "-v", path).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("only 1 or 2 FATs are supported")) {
		t.Fatalf("fsck.fat -n: %v\n%s", err, out)
	}
}

// fatal is what a test and a property test have in common.
type fatal interface {
	Fatalf(string, ...any)
}

// check fails the test if our own checker finds anything.
func check(t fatal, d block.Device) *fat.CheckResult {
	r, err := fat.Check(context.Background(), d, fat.CheckOptions{})
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	if !r.Clean() {
		t.Fatalf("Check finds:\n%s", findings(r))
	}
	return r
}

// findings writes what a check found, one a line.
func findings(r *fat.CheckResult) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %q at %d: %s [%s]\n", f.Severity, f.Code, f.Path, f.Offset, f.Message, f.Repair)
	}
	return b.String()
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

// fixed is a clock that stands still.
func fixed() time.Time { return time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC) }

// kinds are volumes of every type, and odd ones that are legal.
var kinds = []struct {
	name string
	size int64
	o    fat.FormatOptions
}{
	{"fat12", 14 << 20, fat.FormatOptions{Type: 12}},
	{"fat16", 16 << 20, fat.FormatOptions{Type: 16, ClusterBytes: 2048}},
	{"fat32", 40 << 20, fat.FormatOptions{Type: 32, ClusterBytes: 512}},
	{"fat32-4k-sectors", 300 << 20, fat.FormatOptions{Type: 32, SectorBytes: 4096, ClusterBytes: 4096}},
	{"fat16-one-fat", 16 << 20, fat.FormatOptions{Type: 16, FATs: 1, ClusterBytes: 512, RootEntries: 64}},
	{"fat32-three-fats", 1 << 30, fat.FormatOptions{Type: 32, FATs: 3, BadBytes: []int64{20 << 20, 25 << 20}}},
}

// format makes a volume in memory.
func format(t testing.TB, size int64, o fat.FormatOptions) *mem.Device {
	t.Helper()
	dev := mem.New(size)
	if o.Now == nil {
		o.Now = fixed
	}
	if _, err := fat.Format(dev, o); err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestConformance(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			var dev *mem.Device
			vfstest.Run(t, func(t *testing.T) vfs.FS {
				dev = format(t, k.size, k.o)
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
	v := mount(t, format(t, 4<<20, fat.FormatOptions{}), fat.Options{})
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

// TestMkfs runs the suite on volumes of another maker.
func TestMkfs(t *testing.T) {
	for _, args := range [][]string{
		{"-F12", "-s8"}, {"-F16", "-s2", "-f1"}, {"-F32", "-s1", "-f3"}, {"-F16", "-S1024", "-r1024", "-M0xF0"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			kib := 34 << 10
			if args[0] == "-F12" {
				kib = 14 << 10
			}
			dev := mkfs(t, kib, args...)
			v := mount(t, dev, fat.Options{})
			vfstest.Cases["tree/many-names"](t, vfstest.Env{FS: v})
			vfstest.Cases["tree/copy-and-walk"](t, vfstest.Env{FS: v})
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			fsck(t, dev)
		})
	}
}

// judge has both checkers look at a volume; fsck is the path of fsck.fat.
func judge(t fatal, fsck string, d block.Device) {
	check(t, d)
	dir, err := os.MkdirTemp("", "fatkit-judge")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "img")
	if err := saveTo(path, d); err != nil {
		t.Fatalf("%v", err)
	}
	if out, err := exec.Command(fsck, "-n", "-v", path).CombinedOutput(); err != nil {
		t.Fatalf("fsck.fat -n: %v\n%s", err, out)
	}
}
