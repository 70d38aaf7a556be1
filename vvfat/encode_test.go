package vvfat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"
	_ "time/tzdata" // the zones of TestSavedZones, wherever it runs

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// awkwardNames are names of a tree that has every kind of node.
var awkwardNames = []string{
	"readme.txt", "README.md", "A longer name than 8.3.text", "sub/deep/er/file", "sub/empty/",
	"sub/deep/other", "zlast/", "b\xffad", "link -> sub/deep", "file link -> readme.txt", "trailing dot.", "IO.SYS",
}

// encode returns the bytes of a tree.
func encode(t testing.TB, tree *Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tree.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// image returns the bytes of a disk.
func image(t testing.TB, d block.Device) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	if err := block.ReadFull(d, p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEncodeTree saves trees and layouts and makes the same disks of them.
func TestEncodeTree(t *testing.T) {
	dir := hostTree(t, awkwardNames...)
	root, err := hostfs.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tree, err := ScanHost(context.Background(), root, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := encode(t, tree)
	again, err := DecodeTree(bytes.NewReader(p), root)
	if err != nil {
		t.Fatal(err)
	}
	if !tree.equal(again) || !bytes.Equal(encode(t, again), p) || again.Files() != tree.Files() || again.Bytes() != tree.Bytes() {
		t.Error("the decoded tree is another one")
	}
	berlin := time.FixedZone("+02:00", 2*3600)
	for _, o := range []Options{
		{}, {FAT: 12, FloppyKiB: 1440, Label: "WORK"}, {FAT: 32, Table: TableGPT, SizeBytes: 64 << 20, Location: berlin},
		{First: []string{"zlast"}, CodePage: 850, HideDotFiles: true, ReserveRoot: 30, NoLabel: true, ClampTime: time.Unix(1_000_000_000, 0)},
	} {
		l, err := NewLayout(tree, o)
		if err != nil {
			t.Fatal(err)
		}
		head, err := l.EncodeHead()
		if err != nil {
			t.Fatal(err)
		}
		l2, err := DecodeLayout(head, again)
		if err != nil {
			t.Fatal(err)
		}
		if d := DiffOptions(l.Options(), l2.Options()); d != "" || !l.Equal(l2) {
			t.Errorf("options differ in %q, equal %v", d, l.Equal(l2))
		}
		if !bytes.Equal(image(t, NewDisk(l, DiskOptions{})), image(t, NewDisk(l2, DiskOptions{}))) {
			t.Errorf("%+v: the disks differ", o)
		}
	}
}

// TestDecodeTreeDamaged flips and cuts every byte of a small tree.
func TestDecodeTreeDamaged(t *testing.T) {
	dir := hostTree(t, "a", "d/b", "l -> d")
	tree, _ := mustScan(t, dir, ScanOptions{})
	p := encode(t, tree)
	var bad *diskerr.FormatError
	for i := range p {
		if _, err := DecodeTree(bytes.NewReader(p[:i]), nil); !errors.As(err, &bad) {
			t.Errorf("cut at %d: %v", i, err)
		}
		for bit := range 8 {
			q := bytes.Clone(p)
			q[i] ^= 1 << bit
			if _, err := DecodeTree(bytes.NewReader(q), nil); !errors.As(err, &bad) {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	broken := io.MultiReader(bytes.NewReader(p[:40]), errReader{})
	if _, err := DecodeTree(broken, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an error of the reader became %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, fs.ErrPermission }

// FuzzDecodeTree decodes arbitrary bytes. What decodes is laid out, and encodes
// to a tree that is the same.
func FuzzDecodeTree(f *testing.F) {
	for _, names := range [][]string{nil, {"a"}, {"a", "d/b", "l -> d"}, awkwardNames} {
		tree, _ := mustScan(f, hostTree(f, names...), ScanOptions{})
		p := encode(f, tree)
		f.Add(p[:len(p)-4])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		p = append(p, checksumOf(p)...)
		tree, err := DecodeTree(bytes.NewReader(p), nil)
		if err != nil {
			return
		}
		again, err := DecodeTree(bytes.NewReader(encode(t, tree)), nil)
		if err != nil || !tree.equal(again) {
			t.Fatalf("the tree changes by encoding: %v", err)
		}
		l, err := NewLayout(tree, Options{})
		if err != nil {
			return
		}
		for id := RootID; id < l.Nodes(); id++ {
			n := l.Node(id)
			if n.Clusters > 0 {
				if owner, ok := l.OwnerOf(n.FirstCluster); !ok || owner != id {
					t.Fatalf("cluster %d of %q belongs to %d", n.FirstCluster, l.Path(id), owner)
				}
			}
			if n.Dir {
				l.Directory(id)
			}
		}
	})
}

func checksumOf(p []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(p, castagnoli))
}

// TestRendererVersion fails when the bytes of a disk change. Whoever changes
// them on purpose raises RendererVersion, since disks that are being written to
// (serve --rw) are presented again from what was saved of them, and puts the
// new hash here.
func TestRendererVersion(t *testing.T) {
	stamp := time.Date(2024, 2, 29, 12, 34, 57, 0, time.UTC)
	fsys := fstest.MapFS{}
	for i, name := range []string{
		"readme.txt", "README.md", "A longer name than 8.3.text", "sub/deep/er/file", "sub/deep/other", "sub/Other",
		"IO.SYS", "trailing dot.", "\U0001F600.emoji", "a:b", "MixedCase.TXT",
	} {
		fsys[name] = &fstest.MapFile{Data: bytes.Repeat([]byte(name), 300*i), ModTime: stamp.Add(time.Duration(i) * time.Hour), Mode: 0o644}
	}
	fsys["readonly"] = &fstest.MapFile{Data: []byte("x"), ModTime: stamp, Mode: 0o444}
	for _, dir := range []string{"sub", "sub/deep", "sub/deep/er"} {
		fsys[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o755, ModTime: stamp}
	}
	tree, err := ScanFS(context.Background(), fsys, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for _, o := range []Options{
		{Name: "golden"}, {Name: "golden", FAT: 12, FloppyKiB: 1440}, {Name: "golden", FAT: 16, SizeBytes: 32 << 20, HideDotFiles: true},
		{Name: "golden", FAT: 32, ESP: true, SizeBytes: 48 << 20, ClusterBytes: 512, Location: time.FixedZone("", -3600)},
		{Name: "golden", QEMU: true, FAT: 12},
	} {
		l, err := NewLayout(tree, o)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(image(t, NewDisk(l, DiskOptions{})))
	}
	got := fmt.Sprintf("%d %s", RendererVersion, hex.EncodeToString(h.Sum(nil)))
	if want := goldenDisks; got != want {
		t.Errorf("the disks are %q, not %q", got, want)
	}
}

// goldenDisks is the renderer version and the hash of the disks of
// TestRendererVersion.
const goldenDisks = "1 4d65bea00bbe12d6128387c4646cf5f739910469009e0b0e67aafdbd3962d7fe"

// TestSavedZones compares zones with what becomes of them when they are saved.
func TestSavedZones(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := time.LoadLocationFromTZData(name, encodeZone(loc))
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2108; at = at.Add(13*24*time.Hour + 17*time.Minute) {
			if a, b := at.In(loc).Format(time.RFC3339), at.In(again).Format(time.RFC3339); a != b {
				t.Fatalf("%s: %s became %s", name, a, b)
			}
			// And the other way, as guests' times are read.
			y, m, d := at.Date()
			if a, b := time.Date(y, m, d, 2, 30, 0, 0, loc), time.Date(y, m, d, 2, 30, 0, 0, again); !a.Equal(b) {
				t.Fatalf("%s: %v became %v", name, a, b)
			}
		}
	}
}
