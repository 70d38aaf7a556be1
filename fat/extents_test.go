package fat

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// Extents, Survey and Regions agree with each other, and the extents of a file
// hold its content.
func TestWhereThingsLie(t *testing.T) {
	for _, bits := range []int{12, 16, 32} {
		size := map[int]int64{12: 2 << 20, 16: 8 << 20, 32: 40 << 20}[bits]
		dev := mem.New(size)
		info, err := Format(dev, FormatOptions{Type: bits, ClusterBytes: 512, BadBytes: []int64{size - 4096}})
		if err != nil {
			t.Fatal(err)
		}
		checkRegions(t, &info, size)
		v, err := Open(dev, Options{WriteBack: -1})
		if err != nil {
			t.Fatal(err)
		}
		one, two := bytes.Repeat([]byte("1"), 3000), bytes.Repeat([]byte("2"), 9000)
		for _, name := range []string{"a", "b", "c"} {
			if err := vfs.WriteFile(v, name, one, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Remove("b"); err != nil {
			t.Fatal(err)
		}
		fill(t, v) // so that what b left has to be used
		if err := vfs.WriteFile(v, "split", two, 0o666); err != nil {
			t.Fatal(err)
		}
		use := survey(t, v, info.Clusters)
		for name, want := range map[string][]byte{"a": one, "split": two} {
			checkExtents(t, v, dev, use, name, want)
		}
		if pieces, _ := v.Extents("split"); len(pieces) < 2 {
			t.Errorf("FAT%d: split lies in %+v", bits, pieces)
		}
		root, err := v.Extents(".")
		if err != nil || len(root) == 0 || (root[0].Cluster == 0) != (bits != 32) {
			t.Errorf("FAT%d: root at %+v, %v", bits, root, err)
		}
		if _, err := v.Extents("none"); err == nil {
			t.Errorf("FAT%d: a file that is not there lies somewhere", bits)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fill leaves 13 clusters free besides those that b had, in one piece at the
// end.
func fill(t *testing.T, v *Volume) {
	t.Helper()
	u, err := v.Usage()
	if err != nil {
		t.Fatal(err)
	}
	free := u.FreeBytes/u.BlockBytes - 6 - 12
	if err := vfs.WriteFile(v, "fill", make([]byte, free*u.BlockBytes), 0o666); err != nil {
		t.Fatal(err)
	}
}

func checkRegions(t *testing.T, info *Info, size int64) {
	t.Helper()
	end := int64(0)
	for _, r := range info.Regions() {
		if r.Offset != end || r.Len <= 0 {
			t.Errorf("FAT%d: region %+v after %d", info.Type, r, end)
		}
		if end += r.Len; r.Name == "data area" && r.Offset != info.DataOffset {
			t.Errorf("FAT%d: the data area is said to begin at %d, and at %d", info.Type, r.Offset, info.DataOffset)
		}
	}
	if end != int64(info.TotalSectors)*int64(info.SectorBytes) || end > size {
		t.Errorf("FAT%d: the regions end at %d", info.Type, end)
	}
}

// survey returns the use of each cluster, as Survey tells it.
func survey(t *testing.T, v *Volume, clusters uint32) []ClusterUse {
	t.Helper()
	use, bad := make([]ClusterUse, 2), 0
	err := v.Survey(context.Background(), func(first, n uint32, u ClusterUse) error {
		if first != uint32(len(use)) || n == 0 {
			t.Errorf("%d clusters from %d after %d", n, first, len(use))
		}
		for range n {
			use = append(use, u)
		}
		if u == ClusterBad {
			bad += int(n)
		}
		return nil
	})
	if err != nil || len(use) != int(clusters)+2 || bad != 1 {
		t.Fatalf("%d clusters with %d bad of %d, %v", len(use)-2, bad, clusters, err)
	}
	stop := errors.New("stop")
	if err := v.Survey(context.Background(), func(uint32, uint32, ClusterUse) error { return stop }); err != stop {
		t.Errorf("the error of the function is %v", err)
	}
	return use
}

func checkExtents(t *testing.T, v *Volume, dev *mem.Device, use []ClusterUse, name string, want []byte) {
	t.Helper()
	pieces, err := v.Extents(name)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for i, p := range pieces {
		b := make([]byte, p.Len)
		if _, err := dev.ReadAt(b, p.Offset); err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
		if off, ok := v.ClusterOffset(p.Cluster); !ok || off != p.Offset {
			t.Errorf("%s: cluster %d is at %d, not %d", name, p.Cluster, off, p.Offset)
		}
		if c, ok := v.ClusterAt(p.Offset + p.Len - 1); !ok || c != p.Cluster+p.Clusters-1 {
			t.Errorf("%s: byte %d is in cluster %d", name, p.Offset+p.Len-1, c)
		}
		last := use[p.Cluster+p.Clusters-1]
		if (last == ClusterSplit) != (i < len(pieces)-1) || last == ClusterFree {
			t.Errorf("%s: the last cluster of piece %d is %d", name, i, last)
		}
		if one, err := v.ClusterUse(p.Cluster + p.Clusters - 1); err != nil || one != last {
			t.Errorf("%s: cluster %d is %d and %d, %v", name, p.Cluster+p.Clusters-1, one, last, err)
		}
	}
	if !bytes.HasPrefix(got, want) {
		t.Errorf("%s does not lie where it is said to: %d bytes", name, len(got))
	}
	if _, err := v.ClusterUse(uint32(len(use))); !errors.Is(err, diskerr.ErrOutOfRange) {
		t.Errorf("a cluster that is not there: %v", err)
	}
}
