package interop

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// served is a disk that fatkit served and nbdcopy copied.
type served struct {
	img  string // path of the copy
	tree *fatread.Tree
	info string // what nbdinfo printed, in JSON
}

// serve runs the command of the manual: it serves a directory and copies the
// disk with nbdcopy. The times on the disk are UTC.
func serve(t testing.TB, dir string, args ...string) served {
	t.Helper()
	tools.Need(t, "nbdinfo", "nbdcopy")
	out := filepath.Join(t.TempDir(), "out.img")
	script := fmt.Sprintf(`nbdinfo --json "$uri" && nbdcopy "$uri" '%s'`, out)
	all := append([]string{"serve", "--timezone", "utc", "--quiet", "--run", script}, args...)
	r := tools.Try(t, product.Binary(t), append(all, dir)...)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
	}
	return served{img: out, info: r.Stdout}
}

// build runs fatkit build and returns the path of the image.
func build(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "built.img")
	all := append([]string{"build", "--timezone", "utc"}, args...)
	r := tools.Try(t, product.Binary(t), append(all, dir, out)...)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
	}
	return out
}

// readImage reads an image with the independent reader; it must break no rule.
func readImage(t testing.TB, img string, o fatread.Options) *fatread.Tree {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if o.DecodeShort == nil {
		o.DecodeShort = decode437
	}
	tree, err := fatread.Read(f, fi.Size(), o)
	if err != nil {
		t.Errorf("%s: %v", img, err)
	}
	if tree == nil {
		t.FailNow()
	}
	return tree
}

// decode437 decodes short names in the code page that is the default.
func decode437(p []byte) string {
	s, err := charmap.CodePage437.NewDecoder().Bytes(p)
	if err != nil {
		return fmt.Sprintf("%x", p)
	}
	return string(s)
}

// volumeOffset returns where the volume begins on the disk, in bytes.
func volumeOffset(d fatread.Disk) (off, length int64) {
	for _, p := range d.Partitions {
		if p.Number == d.Chosen {
			return p.StartBytes, p.LenBytes
		}
	}
	return 0, d.SizeBytes
}

// fsck runs fsck.fat on the volume alone, which must be clean and say nothing
// but its summary.
func fsck(t tools.T, img string, d fatread.Disk) {
	t.Helper()
	off, length := volumeOffset(d)
	vol := img
	if off > 0 {
		vol = img + ".volume"
		copyRange(t, vol, img, off, length)
		defer os.Remove(vol)
	}
	fsckVolume(t, vol)
}

// fsckVolume is fsck for an image without a partition table.
func fsckVolume(t tools.T, vol string) {
	t.Helper()
	r := tools.Try(t, "fsck.fat", "-n", "-v", vol)
	if r.Code != 0 {
		t.Errorf("fsck.fat: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		return
	}
	// It exits 0 even after complaints that it would only repair by hand.
	for _, line := range strings.Split(r.Stdout, "\n") {
		for _, bad := range []string{"differ", "wrong", "Wrong", "bad ", "Bad", "dirty", "not ", "orphan", "unused", "Reclaim", "mismatch"} {
			if strings.Contains(line, bad) && !strings.HasPrefix(line, "Checking ") && !strings.HasPrefix(line, vol) {
				t.Errorf("fsck.fat says %q", line)
			}
		}
	}
}

// copyRange copies a piece of an image to a file, leaving holes for zeroes.
func copyRange(t tools.T, to, from string, off, length int64) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if err := dst.Truncate(length); err != nil {
		t.Fatal(err)
	}
	buf, zeroes := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < length; {
		n, err := src.ReadAt(buf[:min(int64(len(buf)), length-at)], off+at)
		if !bytes.Equal(buf[:n], zeroes[:n]) {
			if _, err := dst.WriteAt(buf[:n], at); err != nil {
				t.Fatal(err)
			}
		}
		if at += int64(n); err != nil && (err != io.EOF || at < length) {
			t.Fatal(err)
		}
	}
}

// mtoolsEnv makes mtools take times as UTC.
var mtoolsEnv = []string{"TZ=UTC"}

// mcopyBack copies everything off the volume with mtools and compares it with
// the host. The names must be within the basic plane of Unicode: mtools drops
// the others.
func mcopyBack(t testing.TB, img string, d fatread.Disk, host map[string]hosttree.File) {
	t.Helper()
	off, _ := volumeOffset(d)
	drive := fmt.Sprintf("%s@@%d", img, off)
	out := t.TempDir()
	if r := tools.TryEnv(t, mtoolsEnv, "mcopy", "-s", "-p", "-m", "-Q", "-n", "-i", drive, "::/*", out); r.Code != 0 {
		t.Errorf("%s: exit code %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
		return
	}
	got := hosttree.Read(t, out)
	for p, h := range host {
		g, ok := got[p]
		switch {
		case !ok:
			t.Errorf("mcopy did not return %q", p)
		case g.Dir != h.Dir || g.Hash != h.Hash:
			t.Errorf("mcopy returned other bytes for %q: %d, want %d", p, g.Size, h.Size)
		case !h.Dir && !g.Modified.Equal(hosttree.FATTime(h.Modified)):
			t.Errorf("mcopy returned %q with time %v, want %v", p, g.Modified, hosttree.FATTime(h.Modified))
		}
	}
	if len(got) != len(host) {
		t.Errorf("mcopy returned %d files and directories, want %d", len(got), len(host))
	}
	r := tools.TryEnv(t, mtoolsEnv, "mdir", "-/", "-b", "-a", "-i", drive, "::/")
	listed := map[string]bool{}
	for _, line := range strings.Split(r.Stdout, "\n") {
		if p, ok := strings.CutPrefix(line, "::/"); ok {
			listed[strings.TrimSuffix(p, "/")] = true
		}
	}
	for p := range host {
		if !listed[p] {
			t.Errorf("mdir does not list %q", p)
		}
	}
}

// checkTable runs the judges of partition tables.
func checkTable(t testing.TB, img string, table string) {
	t.Helper()
	switch table {
	case "mbr":
		r := tools.Try(t, "sfdisk", "--verify", img)
		if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "No errors detected") {
			t.Errorf("sfdisk --verify: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	case "gpt":
		r := tools.Try(t, "sgdisk", "-v", img)
		if r.Code != 0 || !strings.Contains(r.Stdout, "No problems found") {
			t.Errorf("sgdisk -v: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	}
}

// compareFiles fails unless two files hold the same bytes.
func compareFiles(t testing.TB, a, b string) {
	t.Helper()
	if r := tools.Try(t, "cmp", a, b); r.Code != 0 {
		t.Errorf("served and built disks differ: %s%s", r.Stdout, r.Stderr)
	}
}

// trial says what is judged.
type trial struct {
	dir  string
	args []string // of serve and build
	// odd says that names are mapped, or are beyond what mtools can read.
	odd bool
	o   fatread.Options
}

// judge serves a directory and applies every judge that can read its names.
func judge(t testing.TB, tr trial) *fatread.Tree {
	t.Helper()
	t.Helper()
	tools.Need(t, "fsck.fat", "mcopy", "mdir", "sfdisk", "sgdisk", "cmp")
	host := hosttree.Read(t, tr.dir)
	s := serve(t, tr.dir, tr.args...)
	tree := readImage(t, s.img, tr.o)
	name := hosttree.Same
	if tr.odd {
		name = hosttree.DiskNames(t, tree.Order, host)
	}
	hosttree.Compare(t, tree, host, name)
	fsck(t, s.img, tree.Disk)
	if !tr.odd {
		mcopyBack(t, s.img, tree.Disk, host)
	}
	if tr.o.LBABytes == 0 || tr.o.LBABytes == 512 { // they know no other sector size of a file
		checkTable(t, s.img, tree.Disk.Table)
	}
	compareFiles(t, s.img, build(t, tr.dir, tr.args...))
	if !strings.Contains(s.info, fmt.Sprintf(`"export-size": %d`, tree.Disk.SizeBytes)) {
		t.Errorf("nbdinfo does not tell the size %d:\n%s", tree.Disk.SizeBytes, s.info)
	}
	return tree
}
