package interop

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// fioFile is the file whose contents fio verifies: each block holds its own
// offset on the disk, eight bytes over and over.
const (
	fioFile       = "fio.dat"
	fioBytes      = 8 << 20
	fioBlockBytes = 4096
)

// agreeTree has large and small files around the one for fio.
func agreeTree() trees.Tree {
	t := trees.Flat(3, 5<<20+12345)
	t = append(t, trees.Grid(10, 20, 3000)...)
	return append(t, trees.Node{Path: fioFile, Size: fioBytes})
}

// writeFioFile fills the file for fio, whose first byte is at off on the disk.
// Size and time stay, so the layout does.
func writeFioFile(t *testing.T, dir string, off int64) {
	t.Helper()
	p := make([]byte, fioBytes)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], uint64(off)+uint64(i/fioBlockBytes*fioBlockBytes))
	}
	name := filepath.Join(dir, fioFile)
	if err := os.WriteFile(name, p, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, trees.BaseTime, trees.BaseTime); err != nil {
		t.Fatal(err)
	}
}

// fileOffset returns where a file of an image begins on the disk.
func fileOffset(tree *fatread.Tree, name string) int64 {
	return tree.ClusterOffset(tree.Entries[name].Clusters[0])
}

// TestClientsAgree reads one disk with every client and compares what they
// read with the image that fatkit builds of it, which is judged by the
// independent reader: one client after the other, then all at once.
func TestClientsAgree(t *testing.T) {
	tools.Need(t, "qemu-img", "nbdcopy", "nbdinfo", "fio", "cmp")
	dir := hosttree.Make(t, agreeTree())
	off := fileOffset(readImage(t, build(t, dir), fatread.Options{}), fioFile)
	writeFioFile(t, dir, off)
	host := hosttree.Read(t, dir) // before the disk is made, since reading changes access dates
	img := build(t, dir)
	tree := readImage(t, img, fatread.Options{})
	hosttree.Compare(t, tree, host, hosttree.Same)
	if got := fileOffset(tree, fioFile); got != off {
		t.Fatalf("the layout moved %s from %d to %d", fioFile, off, got)
	}
	s := product.Serve(t, "--timezone", "utc", dir)
	clients := map[string]func(t *testing.T){
		"qemu-img compare": func(t *testing.T) { qemuCompare(t, img, s.URI) },
		"nbdcopy":          func(t *testing.T) { nbdcopyCompare(t, img, s.URI) },
		"nbdinfo --map":    func(t *testing.T) { checkMap(t, img, s.URI) },
		"fio":              func(t *testing.T) { fioVerify(t, s.URI, off, 1) },
	}
	for name, client := range clients {
		t.Run(name, client)
	}
	t.Run("at once", func(t *testing.T) {
		// Two of each and four jobs of fio: more than eight connections.
		clients["fio"] = func(t *testing.T) { fioVerify(t, s.URI, off, 4) }
		var wg sync.WaitGroup
		for range 2 {
			for name, client := range clients {
				wg.Add(1)
				go t.Run(name, func(t *testing.T) {
					defer wg.Done()
					client(t)
				})
			}
		}
		wg.Wait()
	})
}

func qemuCompare(t *testing.T, img, uri string) {
	r := tools.Try(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", img, uri)
	if r.Code != 0 || !strings.Contains(r.Stdout, "identical") {
		t.Errorf("%s: exit code %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
	}
}

func nbdcopyCompare(t *testing.T, img, uri string) {
	out := filepath.Join(t.TempDir(), "copy.img")
	tools.Run(t, "nbdcopy", "--connections=8", "--requests=64", "--threads=2", uri, out)
	compareFiles(t, img, out)
}

// checkMap verifies that the extents cover the disk, that what is said to be
// zero reads as zeroes, and that the free space at the end is known to be.
func checkMap(t *testing.T, img, uri string) {
	var extents []struct {
		Offset, Length int64
		Type           int
	}
	out := tools.Run(t, "nbdinfo", "--map", "--json", uri)
	if err := json.Unmarshal([]byte(out), &extents); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	var at, zeroBytes int64
	for _, e := range extents {
		if e.Offset != at || e.Length <= 0 || e.Offset+e.Length > int64(len(p)) {
			t.Fatalf("extent %+v after %d bytes of %d", e, at, len(p))
		}
		at += e.Length
		const hole, zero = 1, 2
		if e.Type&zero != 0 {
			zeroBytes += e.Length
			if i := bytes.IndexFunc(p[e.Offset:at], func(r rune) bool { return r != 0 }); i >= 0 {
				t.Errorf("extent %+v is no zero at %d", e, e.Offset+int64(i))
			}
		}
		if e.Type&hole != 0 && e.Type&zero == 0 {
			t.Errorf("extent %+v is a hole that does not read as zeroes", e)
		}
	}
	if at != int64(len(p)) {
		t.Errorf("extents cover %d bytes of %d", at, len(p))
	}
	if zeroBytes == 0 {
		t.Error("no extent is known to be zero, though the disk has free space")
	}
}

// fioVerify lets fio read blocks of the file at random and check that each
// holds its offset.
func fioVerify(t *testing.T, uri string, off int64, jobs int) {
	r := tools.Try(t, "fio", "--name=verify", "--ioengine=nbd", "--uri="+uri, "--rw=randread", "--norandommap=0",
		"--bs="+fmt.Sprint(fioBlockBytes), "--iodepth=16", fmt.Sprintf("--numjobs=%d", jobs), "--group_reporting",
		fmt.Sprintf("--offset=%d", off), fmt.Sprintf("--size=%d", fioBytes),
		"--verify=pattern", "--verify_pattern=%o", fmt.Sprintf("--verify_interval=%d", fioBlockBytes), "--verify_fatal=1",
		"--output-format=json")
	if r.Code != 0 {
		t.Errorf("%s: exit code %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
		return
	}
	var result struct {
		Jobs []struct {
			Error int
			Read  struct {
				IOBytes int64 `json:"io_bytes"`
			}
		}
	}
	body := r.Stdout[max(0, strings.Index(r.Stdout, "{")):]
	if err := json.Unmarshal([]byte(body), &result); err != nil {
		t.Fatalf("%v\n%s", err, r.Stdout)
	}
	if len(result.Jobs) != 1 || result.Jobs[0].Error != 0 || result.Jobs[0].Read.IOBytes != int64(jobs)*fioBytes {
		t.Errorf("fio read %+v, want %d bytes", result.Jobs, jobs*fioBytes)
	}
}

// TestFioFindsWrongBytes makes sure that fio's verification can fail: it looks
// one block further than the file begins.
func TestFioFindsWrongBytes(t *testing.T) {
	tools.Need(t, "fio", "nbdkit")
	dir := t.TempDir()
	writeFioFile(t, dir, 0)
	for _, c := range []struct {
		bad  bool
		data int64 // offset that the blocks claim
	}{{false, 0}, {true, fioBlockBytes}} {
		writeFioFile(t, dir, c.data)
		script := fmt.Sprintf(`fio --name=v --ioengine=nbd --uri="$uri" --rw=randread --bs=%d --size=%d --verify=pattern --verify_pattern=%%o --verify_interval=%d --verify_fatal=1`,
			fioBlockBytes, fioBytes, fioBlockBytes)
		r := tools.Try(t, "nbdkit", "-U", "-", "-r", "file", filepath.Join(dir, fioFile), "--run", script)
		if (r.Code != 0) != c.bad {
			t.Errorf("wrong bytes %v: exit code %d\n%s%s", c.bad, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// TestReadingLeavesTheTreeAlone serves and builds a tree whose files nobody
// has read since they were written. Reading them through the disk must leave
// their access times alone, or the same tree would give another disk.
func TestReadingLeavesTheTreeAlone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can read a file without touching its access time")
	}
	dir := hosttree.Make(t, plainTree(2))
	first := build(t, dir)
	s := serve(t, dir)
	compareFiles(t, first, s.img)
	compareFiles(t, first, build(t, dir))
}

// TestSocketActivation lets nbdcopy start the server, with a socket that it
// has opened itself.
func TestSocketActivation(t *testing.T) {
	tools.Need(t, "nbdcopy", "cmp")
	dir := hosttree.Make(t, plainTree(1))
	img := build(t, dir)
	out := filepath.Join(t.TempDir(), "copy.img")
	tools.Run(t, "nbdcopy", "--", "[", product.Binary(t), "serve", "--quiet", "--timezone", "utc", dir, "]", out)
	compareFiles(t, img, out)
}

// TestSeveralExports serves two directories at once, each under its name.
func TestSeveralExports(t *testing.T) {
	tools.Need(t, "nbdinfo", "nbdcopy", "cmp")
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	hosttree.MakeIn(t, one, trees.Flat(2, 1000))
	hosttree.MakeIn(t, two, trees.Flat(3, 70_000))
	s := product.Serve(t, "--timezone", "utc", one, two)
	list := tools.Run(t, "nbdinfo", "--list", "--json", s.URI)
	for name, dir := range map[string]string{"one": one, "two": two} {
		if !strings.Contains(list, fmt.Sprintf(`"export-name": %q`, name)) {
			t.Errorf("export %q is not listed:\n%s", name, list)
		}
		out := filepath.Join(t.TempDir(), "copy.img")
		tools.Run(t, "nbdcopy", "nbd+unix:///"+name+"?socket="+s.Socket, out)
		compareFiles(t, build(t, dir), out)
	}
}
