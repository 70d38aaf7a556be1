package drivers

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/vfstest"
	"github.com/fatkit/fatkit/volume"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mounted mounts a source at A: by the driver that takes it, and returns the
// volume.
func mounted(t testing.TB, src *volume.Source) (*volume.Namespace, *volume.Volume) {
	t.Helper()
	n := volume.New(New(Options{}), volume.Options{})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, n.Mount(t.Context(), "a:", src, ""))
	return n, n.Mounts()[0].Volume
}

// wantInfo checks which driver took a volume.
func wantInfo(t *testing.T, v *volume.Volume, driver, kind string, readOnly bool) {
	t.Helper()
	if i, err := v.Info(); err != nil || i.Driver != driver || i.Type != kind || i.ReadOnly != readOnly {
		t.Errorf("mounted by %+v, %v; want %s, %s, read-only %v", i, err, driver, kind, readOnly)
	}
}

// content is what the volumes below hold that cannot be changed.
var content = vfstest.Content{
	"a.txt": []byte("a"), "empty": {}, "dir/b.bin": bytes.Repeat([]byte("0123456789"), 2000), "dir/sub/ünïcödé.txt": []byte("c"),
}

// writable are the drivers whose volumes can be changed, by fresh sources.
var writable = map[string]struct {
	options vfstest.Options
	source  func(t *testing.T) *volume.Source
}{
	"fat12": {fatOptions, func(t *testing.T) *volume.Source { return fatSource(t, 12, 12<<20) }},
	"fat16": {fatOptions, func(t *testing.T) *volume.Source { return fatSource(t, 16, 40<<20) }},
	"fat32": {fatOptions, func(t *testing.T) *volume.Source { return fatSource(t, 32, 80<<20) }},
	"host": {vfstest.Options{TimeStep: time.Second, OpenRemoved: true}, func(t *testing.T) *volume.Source {
		return &volume.Source{Name: "directory", Dir: t.TempDir()}
	}},
	"iofs": {fatOptions, func(t *testing.T) *volume.Source {
		v, err := fat.Open(fatSource(t, 16, 40<<20).Device, fat.Options{})
		must(t, err)
		return &volume.Source{Name: "tree", FS: v}
	}},
}

var fatOptions = vfstest.Options{IgnoresCase: true, KeepsCase: true, Attr: true, TimeStep: 2 * time.Second, OpenRemoved: true}

func fatSource(t testing.TB, bits int, size int64) *volume.Source {
	t.Helper()
	dev := mem.New(size)
	o := fat.FormatOptions{Type: bits}
	if bits == 12 {
		o.ClusterBytes = 4096
	}
	if _, err := fat.Format(dev, o); err != nil {
		t.Fatal(err)
	}
	return &volume.Source{Name: "memory", Device: dev, Close: dev.Close}
}

func TestConformance(t *testing.T) {
	for name, c := range writable {
		t.Run(name, func(t *testing.T) {
			vfstest.Run(t, func(t *testing.T) vfs.FS {
				_, v := mounted(t, c.source(t))
				return v
			}, c.options)
		})
	}
}

// fill puts content into a writable volume and mounts it again for reading.
func fill(t *testing.T, src *volume.Source) {
	t.Helper()
	shared := *src
	shared.Close = nil
	n, v := mounted(t, &shared)
	for name, p := range content {
		must(t, vfs.MkdirAll(v, strings.TrimSuffix(name, "/"+filepath.Base(name)), 0o777))
		must(t, v.RemoveAll(name))
		must(t, vfs.WriteFile(v, name, p, 0o666))
	}
	must(t, n.Unmount("a:", false))
	src.ReadOnly = true
}

func TestReadOnlyConformance(t *testing.T) {
	for name, c := range map[string]struct {
		driver, kind string
		source       func(t *testing.T) *volume.Source
		content      vfstest.Content
	}{
		"fat": {"fat", "FAT16", func(t *testing.T) *volume.Source {
			src := fatSource(t, 16, 40<<20)
			fill(t, src)
			return src
		}, content},
		"host": {"host", "host", func(t *testing.T) *volume.Source {
			src := &volume.Source{Name: "directory", Dir: t.TempDir()}
			fill(t, src)
			return src
		}, content},
		"map": {"iofs", "fs.FS", func(*testing.T) *volume.Source { return &volume.Source{Name: "map", FS: mapFS()} }, content},
		"zip": {"iofs", "zip", func(t *testing.T) *volume.Source {
			return &volume.Source{Name: "zip", Device: mem.FromBytes(zipOf(t))}
		}, content},
		"tar": {"iofs", "tar", func(t *testing.T) *volume.Source {
			return &volume.Source{Name: "tar", Device: mem.FromBytes(tarOf(t))}
		}, content},
		"raw": {"raw", "raw", func(*testing.T) *volume.Source {
			return &volume.Source{Name: "raw", Device: mem.FromBytes(content["dir/b.bin"]), ReadOnly: true}
		}, vfstest.Content{"disk.img": content["dir/b.bin"]}},
	} {
		t.Run(name, func(t *testing.T) {
			_, v := mounted(t, c.source(t))
			wantInfo(t, v, c.driver, c.kind, true)
			vfstest.RunReadOnly(t, v, c.content)
		})
	}
}

func mapFS() fstest.MapFS {
	m := fstest.MapFS{}
	for name, p := range content {
		m[name] = &fstest.MapFile{Data: p}
	}
	return m
}

func zipOf(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, p := range content {
		method := zip.Deflate
		if len(name)%2 == 0 {
			method = zip.Store
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: time.Unix(1e9, 0)})
		must(t, err)
		_, err = f.Write(p)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// tarWith returns an archive with members, and content if with is set.
func tarWith(t *testing.T, with bool, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if with {
		for name, p := range content {
			must(t, w.WriteHeader(&tar.Header{Name: "./" + name, Size: int64(len(p)), Mode: 0o644, ModTime: time.Unix(1e9, 0)}))
			_, err := w.Write(p)
			must(t, err)
		}
	}
	for _, h := range members {
		must(t, w.WriteHeader(&h))
	}
	must(t, w.Close())
	return b.Bytes()
}

func tarOf(t *testing.T) []byte { return tarWith(t, true) }

func TestArchiveLinks(t *testing.T) {
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}
	}
	_, v := mounted(t, &volume.Source{Name: "tar", Device: mem.FromBytes(tarWith(t, true,
		link("rel", "dir/b.bin"), link("dir/up", "../a.txt"), link("abs", "/dir/../a.txt"), link("out", "../../../../a.txt"), link("d", "dir"),
		link("loop", "loop2"), link("loop2", "loop"), link("nowhere", "gone"),
		tar.Header{Name: "hard", Linkname: "./a.txt", Typeflag: tar.TypeLink},
		tar.Header{Name: "../evil/../x/..", Typeflag: tar.TypeDir}, tar.Header{Name: "fifo", Typeflag: tar.TypeFifo},
	))})
	for name, want := range map[string]string{"dir/up": "a", "abs": "a", "out": "a", "hard": "a", "d/sub/../sub/ünïcödé.txt": "", "d/sub/ünïcödé.txt": "c", "rel": string(content["dir/b.bin"])} {
		if !fs.ValidPath(name) {
			continue
		}
		if got, err := fs.ReadFile(v, name); err != nil || string(got) != want {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
	if fi, err := v.Lstat("rel"); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat of a link: %v, %v", fi, err)
	}
	if target, err := v.ReadLink("rel"); err != nil || target != "dir/b.bin" {
		t.Errorf("ReadLink: %q, %v", target, err)
	}
	if _, err := v.Open("loop"); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("a loop of links: %v", err)
	}
	if _, err := v.Stat("nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nowhere: %v", err)
	}
	if _, err := v.Open("fifo"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a pipe: %v", err)
	}
}

// Archives that break off, or lie, are refused or give errors.
func TestDamagedArchives(t *testing.T) {
	for name, p := range map[string][]byte{"zip": zipOf(t), "tar": tarOf(t)} {
		for _, n := range []int{513, 600, len(p) / 2, len(p) - 30} {
			src := &volume.Source{Name: name, Device: mem.FromBytes(p[:n])}
			m := volume.New(New(Options{}), volume.Options{})
			err := m.Mount(t.Context(), "a:", src, "iofs")
			if name == "zip" && err == nil {
				t.Errorf("a zip archive of %d bytes of %d was mounted", n, len(p))
			}
			must(t, m.Close())
		}
	}
	var members []tar.Header
	for i := range 100 {
		members = append(members, tar.Header{Name: fmt.Sprintf("%d", i), Typeflag: tar.TypeLink, Linkname: "none"})
	}
	m := volume.New(New(Options{}), volume.Options{})
	if err := m.Mount(t.Context(), "a:", &volume.Source{Device: mem.FromBytes(tarWith(t, false, members...))}, ""); err == nil {
		t.Error("an archive of hard links to nothing was mounted")
	}
}

// FuzzArchive checks that any bytes that look like an archive give a tree that
// can be walked, or an error.
func FuzzArchive(f *testing.F) {
	t := &testing.T{}
	f.Add(zipOf(t))
	f.Add(tarOf(t))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, p []byte) {
		dev := mem.FromBytes(p)
		fsys, err := iofsDriver{}.Mount(t.Context(), &volume.Source{Device: dev})
		if err != nil {
			return
		}
		seen := 0
		err = vfs.Walk(t.Context(), fsys, ".", func(name string, fi fs.FileInfo, err error) error {
			if seen++; err == nil && fi.Mode().IsRegular() && fi.Size() < 1<<16 && seen < 1000 {
				fs.ReadFile(fsys, name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestRawVolume(t *testing.T) {
	dev := mem.New(10_000)
	n, v := mounted(t, &volume.Source{Name: "raw", Device: dev})
	wantInfo(t, v, "raw", "raw", false)
	f, err := n.OpenFile(`a:\disk.img`, os.O_RDWR|os.O_TRUNC, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 9_997)
	must(t, err)
	if n, err := f.WriteAt([]byte("end"), 9_999); n != 1 || !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("write past the end: %d, %v", n, err)
	}
	if err := f.Truncate(5); err == nil {
		t.Error("a device was made shorter")
	}
	must(t, f.Sync())
	must(t, f.Close())
	p := make([]byte, 3)
	if _, err := dev.ReadAt(p, 9_997); err != nil || string(p) != "ene" {
		t.Errorf("the device holds %q, %v", p, err)
	}
	if _, err := n.Create(`a:\other`); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("create: %v", err)
	}
}

// A medium that nobody knows can be formatted, and is FAT then.
func TestFormat(t *testing.T) {
	for _, c := range []struct {
		size int64
		o    volume.FormatOptions
		kind string
	}{{1440 << 10, volume.FormatOptions{Label: "FLOPPY"}, "FAT12"}, {64 << 20, volume.FormatOptions{}, "FAT16"}, {64 << 20, volume.FormatOptions{Type: "fat32"}, "FAT32"}} {
		n, v := mounted(t, &volume.Source{Name: "raw", Device: mem.New(c.size)})
		wantInfo(t, v, "raw", "raw", false)
		must(t, n.Format(t.Context(), "A:", c.o))
		v = n.Mounts()[0].Volume
		wantInfo(t, v, "fat", c.kind, false)
		if i, err := v.Info(); err != nil || i.Label != c.o.Label {
			t.Errorf("label %q, %v", i.Label, err)
		}
		if err := n.Format(t.Context(), "A:", volume.FormatOptions{Type: "NTFS"}); err == nil {
			t.Error("NTFS was made")
		}
	}
}

// What a name is opened as, and what then mounts it.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	image := func(name string, size int64, format *fat.FormatOptions) {
		dev := mem.New(size)
		if format != nil {
			_, err := fat.Format(dev, *format)
			must(t, err)
		}
		p := make([]byte, size)
		_, err := dev.ReadAt(p, 0)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), p, 0o666))
	}
	image("whole.img", 1440<<10, &fat.FormatOptions{FloppyKiB: 1440})
	image("part.img", 16<<20, &fat.FormatOptions{Table: fat.MBR})
	image("junk.img", 1<<20, nil)
	must(t, os.WriteFile(filepath.Join(dir, "a.zip"), zipOf(t), 0o666))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("x"), 0o666))
	first := stack.FileSystemOptions{Volume: stack.VolumeChoice{Partition: 1}}
	for _, c := range []struct {
		name         string
		o            stack.FileSystemOptions
		driver, kind string
		has          string
		start        int64
	}{
		{"whole.img", stack.FileSystemOptions{}, "fat", "FAT12", ".", 0},
		{"part.img", stack.FileSystemOptions{}, "fat", "FAT16", ".", 1 << 20},
		{"part.img", first, "fat", "FAT16", ".", 1 << 20},
		{"junk.img", stack.FileSystemOptions{}, "raw", "raw", "disk.img", 0},
		{"a.zip", stack.FileSystemOptions{}, "iofs", "zip", "dir/b.bin", 0},
		{"sub", stack.FileSystemOptions{}, "host", "host", "file", 0},
		{"fat:16:" + filepath.Join(dir, "sub"), stack.FileSystemOptions{}, "fat", "FAT16", "file", 63 * 512},
	} {
		name := c.name
		if !strings.HasPrefix(name, "fat:") {
			name = filepath.Join(dir, name)
		}
		src, err := Open(t.Context(), name, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if src.Start != c.start {
			t.Errorf("%s begins at %d, want %d", c.name, src.Start, c.start)
		}
		_, v := mounted(t, src)
		wantInfo(t, v, c.driver, c.kind, true)
		if _, err := v.Stat(c.has); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, o := range map[string]stack.FileSystemOptions{"part.img": {Volume: stack.VolumeChoice{Partition: 2}}, "sub": first, "none.img": {}, "whole.img": first} {
		if src, err := Open(t.Context(), filepath.Join(dir, name), o); err == nil {
			t.Errorf("%s with %+v is %+v", name, o.Volume, src)
		}
	}
}
