package vvfat

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatread"
)

// fakeSource is a source of one directory with the given names, whose files
// hold nothing but their size.
type fakeSource struct{ names []string }

var _ source = (*fakeSource)(nil)

func (s *fakeSource) name() string { return "fake" }

func (s *fakeSource) list(path string, l *hostfs.Listing) error {
	l.Reset()
	for i, n := range s.names {
		e := hostfs.Entry{Stat: hostfs.Stat{Size: int64(len(n) * i), Mtime: int64(i) * math.MaxInt32 * 1000, Btime: hostfs.NoTime, Atime: math.MaxInt64, Mode: 0o644}}
		if i%5 == 4 && path == "." {
			e.Mode |= fs.ModeDir
		}
		l.Add(n, e)
	}
	return nil
}

func (s *fakeSource) stat(string) (hostfs.Stat, error) {
	return hostfs.Stat{Mode: fs.ModeDir | 0o755}, nil
}
func (s *fakeSource) resolve(string) (string, error) { return "", fs.ErrNotExist }
func (s *fakeSource) open(string) (content, hostfs.Stat, error) {
	return nil, hostfs.Stat{}, os.ErrPermission
}
func (s *fakeSource) Close() error { return nil }

// fakeTree scans a fake source. Names that no host has are left out, and so
// are those that occur twice.
func fakeTree(t testing.TB, joined string) *Tree {
	t.Helper()
	seen := map[string]bool{"": true, ".": true, "..": true}
	var src fakeSource
	for _, n := range strings.Split(joined, "/") {
		n = strings.ReplaceAll(n, "\x00", "")
		if len(n) > 400 {
			n = n[:400]
		}
		if !seen[n] && len(src.names) < 300 {
			seen[n] = true
			src.names = append(src.names, n)
		}
	}
	tree, err := scan(context.Background(), &src, ScanOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Whatever the names and options, there is a valid disk or an error that says
// whose fault it is.
func FuzzLayout(f *testing.F) {
	f.Add("a/b/README.TXT/readme.txt/dir/x y/long name.text", 0, int64(0), 0, 512, uint8(0), 0, "LABEL", 0)
	f.Add("caf\xe9/Readme~5f3a90c1.txt/Readme.txt/README.TXT", 12, int64(1440<<10), 512, 512, uint8(1), 0, "", 437)
	f.Add(strings.Repeat("u", 300)+"/"+strings.Repeat("U", 300)+"/\uf0e9/end./end. ", 16, int64(40<<20), 4096, 2048, uint8(2), 9, "x.y", 850)
	f.Add("IO.SYS/COMMAND.COM/MSDOS.SYS/a:b/a\uf03ab", 32, int64(512<<20), 0, 4096, uint8(3), 100, "é", 932)
	f.Fuzz(func(t *testing.T, names string, fat int, size int64, cluster, sector int, table uint8, reserve int, label string, codePage int) {
		tree := fakeTree(t, names)
		o := Options{FAT: fat, SizeBytes: size, ClusterBytes: cluster, SectorBytes: sector, Table: TableKind(table % 4),
			ReserveRoot: reserve, Label: label, CodePage: codePage, Name: label, Location: time.UTC}
		l, err := NewLayout(tree, o)
		if err != nil {
			if !errors.As(err, new(*OptionError)) && !errors.Is(err, diskerr.ErrNoSpace) && !errors.Is(err, errTooManyEntries) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		d := NewDisk(l, DiskOptions{})
		defer d.Close()
		checkFakeDisk(t, d)
	})
}

// checkFakeDisk has the independent reader look at a disk whose files cannot
// be read, if it is of a size that it can look at in good time.
func checkFakeDisk(t *testing.T, d *Disk) {
	t.Helper()
	const tooLong = 1 << 30
	if d.Size() > tooLong {
		p := make([]byte, 4096)
		d.ReadAt(p, d.l.volume)
		return
	}
	got, err := fatread.Read(d, d.Size(), fatread.Options{LBABytes: int64(d.l.geo.SectorBytes), SkipContents: true,
		DecodeShort: func(p []byte) string { return string(p) }})
	if err != nil {
		t.Fatal(err)
	}
	for id := RootID + 1; int(id) < d.l.tree.count; id++ {
		if got.Entries[diskPath(d.l, id)] == nil {
			t.Errorf("%q is not on the disk as %q", d.l.tree.path(id), diskPath(d.l, id))
		}
	}
}

// A range of a FAT is the same whether it is rendered at once or in pieces.
func FuzzFATRanges(f *testing.F) {
	f.Add(uint8(12), uint16(0), uint16(3))
	f.Add(uint8(16), uint16(511), uint16(3))
	f.Add(uint8(32), uint16(1), uint16(700))
	f.Fuzz(func(t *testing.T, fat uint8, from, n uint16) {
		tree := fakeTree(t, "a/bb/ccc/dddd/dir/e/ff/ggg/hhhh/dir2/"+strings.Repeat("x", int(n)%200))
		l, err := NewLayout(tree, Options{FAT: []int{12, 16, 32}[fat%3], ClusterBytes: 512, Table: TableNone})
		if err != nil {
			t.Fatal(err)
		}
		whole := make([]byte, min(l.geo.FATBytes(), 70_000))
		renderFAT(l, whole, 0)
		part := bytes.Repeat([]byte{0xA5}, int(n)) // what was there must not matter
		lo := int(from) % len(whole)
		part = part[:min(len(part), len(whole)-lo)]
		renderFAT(l, part, int64(lo))
		if !bytes.Equal(part, whole[lo:lo+len(part)]) {
			t.Errorf("%d bytes at %d differ", len(part), lo)
		}
	})
}

// Globs end in good time and never panic.
func FuzzExclude(f *testing.F) {
	f.Add("**/a*/**", "x/y/abc/z")
	f.Add("/build/", "build")
	f.Add("[a-", "a")
	f.Fuzz(func(t *testing.T, glob, path string) {
		x, err := newExcluder([]string{glob})
		if err != nil {
			return
		}
		dir, base := ".", path
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			dir, base = path[:i], path[i+1:]
		}
		x.match(dir, []byte(base), true)
	})
}
