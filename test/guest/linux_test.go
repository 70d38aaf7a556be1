package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/trees"
)

// controlFiles are what the control image of the Linux guest holds.
var controlFiles = map[string]string{
	"readme.txt":                    "hello",
	"Grüße an 日本.md":                "a long name",
	"folder/in it":                  "deeper",
	"folder/with\x7fodd characters": "x",
}

// TestControlLinux makes sure that the harness works without fatkit: a Linux
// guest reads a volume of mkfs.fat and mtools.
func TestControlLinux(t *testing.T) {
	NeedKernel(t)
	dir := t.TempDir()
	for name, data := range controlFiles {
		writeFile(t, dir, name, []byte(data))
	}
	img := controlImage(t, dir, 40, "16")
	tree := readWithLinux(t, "vda", DiskArg(img))[0]
	if len(tree) != len(controlFiles)+1 || !tree["folder"].Dir {
		t.Errorf("%+v", tree)
	}
	for name, data := range controlFiles {
		f := tree[name]
		if f.Sum != fmt.Sprintf("%x", sha256.Sum256([]byte(data))) || f.Size != int64(len(data)) {
			t.Errorf("%q: %+v", name, f)
		}
	}
}

// readWithLinux lets a Linux guest read the devices, which are on the disks.
func readWithLinux(t *testing.T, devices string, disks ...string) []map[string]TreeFile {
	t.Helper()
	read, err := ParseTrees(StartLinux(t, "devices='"+devices+"'\n"+ReadTreeScript, disks...).Report(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(strings.Fields(devices)); len(read) != want {
		t.Fatalf("the guest read %d volumes of %d", len(read), want)
	}
	return read
}

// TestLinuxReads lets Linux read what fatkit serves: every FAT type and table,
// with every name that is hard to get right, emoji among them.
func TestLinuxReads(t *testing.T) {
	NeedKernel(t)
	dir := hosttree.Make(t, trees.Unpleasant())
	host := hosttree.Read(t, dir)
	var disks []string
	for _, args := range [][]string{{"--fat", "12", "--table", "none"}, {"--fat", "16", "--table", "mbr"}, {"--fat", "32", "--table", "gpt"}} {
		s := product.Serve(t, append(args, "--timezone", "utc", dir)...)
		disks = append(disks, DiskArg(s.URI))
	}
	for i, tree := range readWithLinux(t, "vda vdb1 vdc1", disks...) {
		t.Run([]string{"FAT12", "FAT16", "FAT32"}[i], func(t *testing.T) { compareLinux(t, tree, host) })
	}
}

// compareLinux compares what the guest saw with the host.
func compareLinux(t *testing.T, tree map[string]TreeFile, host map[string]hosttree.File) {
	t.Helper()
	if len(tree) != len(host) {
		t.Errorf("the guest saw %d files and directories, want %d", len(tree), len(host))
	}
	name := hosttree.DiskNames(t, slices.Sorted(maps.Keys(tree)), host)
	for p, h := range host {
		g, ok := tree[name(p)]
		switch {
		case !ok || g.Dir != h.Dir:
			t.Errorf("%q: the guest saw it: %v, as a directory: %v", p, ok, g.Dir)
		case !h.Dir && (g.Size != h.Size || g.Sum != hex.EncodeToString(h.Hash[:])):
			t.Errorf("%q: the guest read other bytes: %d, want %d", p, g.Size, h.Size)
		case g.ModTime != hosttree.FATTime(h.Modified).Unix():
			t.Errorf("%q: the guest saw the time %v, want %v", p, time.Unix(g.ModTime, 0).UTC(), hosttree.FATTime(h.Modified))
		case !h.Dir && h.ReadOnly != (g.Mode&0o200 == 0):
			t.Errorf("%q: the guest saw mode %o; read-only on the host: %v", p, g.Mode, h.ReadOnly)
		}
	}
}
