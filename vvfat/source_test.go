package vvfat

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/test/fatread"
)

// archive returns a zip file: its files can be read in order only.
func archive(t *testing.T, files map[string][]byte) fs.FS {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, data := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2020, 1, 2, 3, 4, 6, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		f.Write(data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fsFiles are files of many sizes, which compress badly.
func fsFiles() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	files := map[string][]byte{}
	for i, size := range []int{0, 1, 511, 4096, 100_000, 3_000_000} {
		p := make([]byte, size)
		for j := range p {
			p[j] = byte(rnd.Uint32())
		}
		files[fmt.Sprintf("dir%d/file %d", i%3, i)] = p
	}
	return files
}

// A file system of io/fs is a disk as well, whether its files have ReadAt or
// not.
func TestDiskOfFS(t *testing.T) {
	files := fsFiles()
	mapFS := fstest.MapFS{}
	for name, data := range files {
		mapFS[name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	for what, fsys := range map[string]fs.FS{"map": mapFS, "zip": archive(t, files)} {
		tree, err := ScanFS(context.Background(), fsys, ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		d := newDisk(t, tree, Options{Name: what}, DiskOptions{MaxOpenFiles: 2})
		got := judge(t, d)
		for name, data := range files {
			if p, err := got.Bytes(name); err != nil || !bytes.Equal(p, data) {
				t.Errorf("%s: %s: %d bytes, want %d, %v", what, name, len(p), len(data), err)
			}
			readBackwards(t, d, got.Entries[name], data)
		}
	}
}

// readBackwards reads a file in pieces from its end, and as segments.
func readBackwards(t *testing.T, d *Disk, e *fatread.Entry, want []byte) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	const piece = 70_000
	start := d.l.volume + d.l.geo.ClusterOffset(e.Clusters[0])
	for end := len(want); end > 0; end -= piece {
		from := max(end-piece, 0)
		p := make([]byte, end-from)
		if _, err := d.ReadAt(p, start+int64(from)); err != nil || !bytes.Equal(p, want[from:end]) {
			t.Errorf("%s at %d: %v", e.Path, from, err)
		}
	}
	segs, err := d.AppendSegments(nil, start, int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	defer block.ReleaseAll(segs)
	var got []byte
	for i := range segs {
		p := make([]byte, segs[i].Len)
		segs[i].ReadAt(p, 0)
		got = append(got, p...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes in segments", e.Path, len(got))
	}
}

func TestFSChanges(t *testing.T) {
	fsys := fstest.MapFS{"a": {Data: []byte("old")}, "b": {Data: []byte("old")}}
	tree, err := ScanFS(context.Background(), fsys, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, tree, Options{}, DiskOptions{})
	fsys["a"] = &fstest.MapFile{Data: []byte("longer")}
	delete(fsys, "b")
	for _, name := range []string{"a", "b"} {
		id := RootID + 1
		if name == "b" {
			id++
		}
		at := d.l.volume + d.l.geo.ClusterOffset(d.l.firstCluster(id))
		if _, err := d.ReadAt(make([]byte, 3), at); !errors.Is(err, diskerr.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
