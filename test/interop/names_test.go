package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// bigTree is T3 in the long form, and a fortieth of it otherwise.
func bigTree() trees.Tree {
	if product.Long() {
		return trees.T3()
	}
	return trees.Grid(50, 100, 1<<10)
}

// TestUnpleasantNames serves the tree of everything that is hard to get right.
func TestUnpleasantNames(t *testing.T) {
	dir := hosttree.Make(t, trees.Unpleasant())
	for _, args := range [][]string{{"--fat", "12"}, {"--fat", "16"}, {"--fat", "32"}, {"--table", "gpt"}, {"--table", "none", "--fat", "32"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			judge(t, trial{dir: dir, args: args, odd: true})
		})
	}
}

// TestCodePages serves the same names with other code pages of short names,
// which the reader decodes: a name without a long name must still be right.
func TestCodePages(t *testing.T) {
	dir := hosttree.Make(t, trees.Unpleasant())
	host := hosttree.Read(t, dir)
	for page, enc := range map[string]encoding.Encoding{
		"850": charmap.CodePage850, "852": charmap.CodePage852, "866": charmap.CodePage866,
		"932": japanese.ShiftJIS, "1252": charmap.Windows1252,
	} {
		t.Run(page, func(t *testing.T) {
			o := fatread.Options{DecodeShort: func(p []byte) string {
				s, err := enc.NewDecoder().Bytes(p)
				if err != nil {
					return fmt.Sprintf("%x", p)
				}
				return string(s)
			}}
			if page == "932" {
				o.LeadByte = func(c byte) bool { return c >= 0x81 && c <= 0x9F || c >= 0xE0 && c <= 0xFC }
			}
			s := serve(t, dir, "--codepage", page)
			tree := readImage(t, s.img, o)
			hosttree.Compare(t, tree, host, hosttree.DiskNames(t, tree.Order, host))
			fsck(t, s.img, tree.Disk)
		})
	}
}

// TestSamePrefix serves names that all want the same short name.
func TestSamePrefix(t *testing.T) {
	dir := hosttree.Make(t, trees.SamePrefix(5000))
	for _, fat := range []string{"16", "32"} {
		t.Run("FAT"+fat, func(t *testing.T) { judge(t, trial{dir: dir, args: []string{"--fat", fat}}) })
	}
}

// TestManyFiles serves 200,000 files in the long form.
func TestManyFiles(t *testing.T) {
	judge(t, trial{dir: hosttree.Make(t, bigTree()), args: []string{"--fat", "32"}})
}

// TestBadLinks serves links that lead outside, in circles or nowhere: by
// default an error that names one, and left out when that is asked for.
func TestBadLinks(t *testing.T) {
	tools.Need(t, "nbdinfo", "nbdcopy")
	dir := hosttree.Make(t, trees.BadLinks())
	r := tools.Try(t, product.Binary(t), "build", dir, t.TempDir()+"/out.img")
	var errorLines []string
	for _, line := range strings.Split(strings.TrimSpace(r.Stderr), "\n") {
		if !strings.HasPrefix(line, "fatkit: warning: ") {
			errorLines = append(errorLines, line)
		}
	}
	if r.Code != 3 || len(errorLines) != 1 || !strings.Contains(errorLines[0], "--symlinks") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	tree := readImage(t, serve(t, dir, "--symlinks", "skip").img, fatread.Options{})
	for p := range tree.Entries {
		if p != "good.txt" && p != "sub" {
			t.Errorf("%q is on the disk", p)
		}
	}
	if len(tree.Entries) != 2 {
		t.Errorf("%d entries", len(tree.Entries))
	}
}

// shapes are the options that random trees are served with.
var shapes = [][]string{
	nil, {"--fat", "12"}, {"--fat", "16"}, {"--fat", "32"}, {"--table", "none"}, {"--table", "gpt"}, {"--esp"},
	{"--sector", "4096", "--table", "none"}, {"--fat", "32", "--cluster", "512"}, {"--fat", "16", "--cluster", "32K"}, {"--reserve-root", "100", "--fat", "16"},
}

// TestRandomTrees builds disks of random trees and reads them back.
func TestRandomTrees(t *testing.T) {
	tools.Need(t, "fsck.fat")
	bin, scratch := product.Binary(t), t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		tree := trees.Random(40, 2<<20).Draw(rt, "tree")
		args := rapid.SampledFrom(shapes).Draw(rt, "options")
		dir, img := filepath.Join(scratch, "tree"), filepath.Join(scratch, "img")
		defer hosttree.Remove(rt, dir)
		defer os.Remove(img)
		hosttree.MakeIn(rt, dir, tree)
		all := append(append([]string{"build", "--force", "--timezone", "utc"}, args...), dir, img)
		if r := tools.Try(rt, bin, all...); r.Code != 0 {
			rt.Fatalf("%s: exit code %d\n%s", r.Command, r.Code, r.Stderr)
		}
		checkRandom(rt, dir, img)
	})
}

// checkRandom reads an image with the reader and compares it with the host.
func checkRandom(t *rapid.T, dir, img string) {
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := fatread.Read(f, fi.Size(), fatread.Options{DecodeShort: decode437})
	if err != nil {
		t.Fatal(err)
	}
	host := hosttree.Read(t, dir)
	hosttree.Compare(t, tree, host, hosttree.DiskNames(t, tree.Order, host))
	fsck(t, img, tree.Disk)
}
