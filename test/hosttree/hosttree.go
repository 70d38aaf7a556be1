// Package hosttree reads a tree of the host and compares it with what is on a
// disk made from it.
//
// It knows the mapping of names as it is documented, and undoes it on its own:
// [DiskNames] finds the host's name of every name on the disk.
package hosttree

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// File is what the host says of a file or directory.
type File struct {
	Dir      bool
	Size     int64
	Hash     [sha256.Size]byte // SHA-256 of a file
	Modified time.Time
	ReadOnly bool // its owner may not write it
}

// Make writes a tree into a new directory that the end of the test removes.
func Make(t testing.TB, tree trees.Tree) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	t.Cleanup(func() { makeRemovable(t, dir) })
	MakeIn(t, dir, tree)
	return dir
}

// MakeIn writes a tree into a directory.
func MakeIn(t tools.T, dir string, tree trees.Tree) {
	t.Helper()
	left, err := tree.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Logf("this host cannot hold %d nodes: %v", len(left), left)
	}
}

// Remove removes a directory that MakeIn has made.
func Remove(t tools.T, dir string) {
	t.Helper()
	makeRemovable(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// makeRemovable gives the owner write permission on every directory.
func makeRemovable(t tools.T, dir string) {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o755)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Read returns what a directory holds, by slash-separated path. Symbolic
// links are followed, as the disk shows them; special files are left out.
func Read(t tools.T, dir string) map[string]File {
	t.Helper()
	files := map[string]File{}
	var walk func(rel string)
	walk = func(rel string) {
		entries, err := os.ReadDir(filepath.Join(dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			p := path.Join(rel, e.Name())
			fi, err := os.Stat(filepath.Join(dir, p))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case fi.IsDir():
				files[p] = File{Dir: true, Modified: fi.ModTime(), ReadOnly: fi.Mode()&0o200 == 0}
				walk(p)
			case fi.Mode().IsRegular():
				files[p] = File{Size: fi.Size(), Hash: hashFile(t, filepath.Join(dir, p)), Modified: fi.ModTime(), ReadOnly: fi.Mode()&0o200 == 0}
			}
		}
	}
	walk("")
	return files
}

// hashFile returns the SHA-256 of a host file.
func hashFile(t tools.T, name string) (sum [sha256.Size]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	h.Sum(sum[:0])
	return sum
}

// FATTime is the time that FAT holds for a time of the host in UTC: from 1980
// to 2107, in steps of two seconds (FAT32 File System Specification 1.03,
// section 6.3).
func FATTime(when time.Time) time.Time {
	first, last := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	when = when.UTC()
	if when.Before(first) {
		return first
	}
	if when.After(last) {
		return last
	}
	return when.Truncate(2 * time.Second)
}

// maxReports bounds the differences that one comparison prints.
const maxReports = 20

// Compare compares what the independent reader found with the host. Paths
// of the host become those of the disk by name.
func Compare(t tools.T, tree *fatread.Tree, host map[string]File, name func(string) string) {
	t.Helper()
	reports := 0
	report := func(format string, args ...any) {
		t.Helper()
		if reports++; reports <= maxReports {
			t.Errorf(format, args...)
		}
	}
	seen := map[string]bool{}
	for p, h := range host {
		shown := name(p)
		seen[shown] = true
		e := tree.Entries[shown]
		switch {
		case e == nil:
			report("%q (%q) is not on the disk", p, shown)
		case e.Dir != h.Dir || e.Size != h.Size:
			report("%q: directory %v with %d bytes, want %v with %d", p, e.Dir, e.Size, h.Dir, h.Size)
		case !h.Dir && e.Hash != h.Hash:
			report("%q: other bytes", p)
		case !e.Modified.Equal(FATTime(h.Modified)):
			report("%q: time %v, want %v", p, e.Modified, FATTime(h.Modified))
		case !h.Dir && e.Attr&fatread.AttrReadOnly != 0 != h.ReadOnly:
			report("%q: attributes %#x, read-only on the host: %v", p, e.Attr, h.ReadOnly)
		}
	}
	for p := range tree.Entries {
		if !seen[p] {
			report("%q is on the disk but not on the host", p)
		}
	}
	if reports > maxReports {
		t.Errorf("… and %d more differences", reports-maxReports)
	}
}

// Same is the name on the disk of a path that needs no mapping.
func Same(p string) string { return p }
