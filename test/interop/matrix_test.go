package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/trees"
)

func TestMain(m *testing.M) { product.Main(m) }

// plainTree is a tree that every judge can read: long and short names within
// the basic plane, sizes around cluster borders, directories, empty files.
func plainTree(scale int64) trees.Tree {
	t := trees.Tree{
		{Path: "README.TXT", Size: 1000, Seed: 1},
		{Path: "lower.txt", Size: 10, Seed: 2},
		{Path: "Mixed Case Name.text", Size: 511, Seed: 3},
		{Path: "Grüße aus Köln.md", Size: 512, Seed: 4},
		{Path: "日本語のファイル名.bin", Size: 513, Seed: 5},
		{Path: "empty", Size: 0},
		{Path: "read only", Size: 3, Seed: 6, Mode: 0o444},
		{Path: "EXACTLY8.333", Size: 7, Seed: 7},
		{Path: strings.Repeat("n", 13*3), Size: 1, Seed: 8},
		{Path: "empty folder", Kind: trees.Dir},
		{Path: "big.bin", Size: 20_000 * scale, Seed: 9},
		{Path: "folder/sub folder/deep.txt", Size: 4096 * scale, Seed: 10},
		{Path: "folder/" + strings.Repeat("x", 255), Size: 33, Seed: 11},
	}
	for i := range int(8 * scale) {
		t = append(t, trees.Node{Path: fmt.Sprintf("folder/numbered file %d.dat", i), Size: int64(i * 100), Seed: uint64(100 + i)})
	}
	return t
}

// disk is a row of the matrix: how to serve, and what must come out.
type disk struct {
	name  string
	args  []string
	fat   int    // 0: any
	table string // of the disk
	scale int64  // of the tree
	lba   int64  // bytes of a sector of the table; 0 means 512
}

// matrix is every FAT type with every table, every floppy, and the options
// that change the shape of a volume.
func matrix() []disk {
	var m []disk
	for _, fat := range []int{12, 16, 32} {
		for _, table := range []string{"mbr", "gpt", "none"} {
			m = append(m, disk{fmt.Sprintf("FAT%d %s", fat, table), []string{"--fat", fmt.Sprint(fat), "--table", table}, fat, table, 4, 0})
		}
	}
	for _, kib := range []int{160, 180, 320, 360, 720, 1200, 1440, 2880} {
		m = append(m, disk{fmt.Sprintf("floppy %d", kib), []string{"--floppy", fmt.Sprint(kib)}, 12, "none", 1, 0})
	}
	for _, sector := range []int64{1024, 2048, 4096} {
		for _, fat := range []int{12, 16, 32} {
			m = append(m, disk{
				fmt.Sprintf("FAT%d sectors of %d", fat, sector),
				[]string{"--fat", fmt.Sprint(fat), "--table", "none", "--sector", fmt.Sprint(sector)}, fat, "none", 2, sector,
			})
		}
	}
	for _, table := range []string{"mbr", "gpt"} { // sectors of the table are those of the volume
		m = append(m, disk{"sectors of 4096 " + table, []string{"--table", table, "--sector", "4096"}, 0, table, 2, 4096})
	}
	if product.Long() { // much to copy, for a disk that is nearly empty
		m = append(m, disk{"40 GiB FAT32", []string{"--fat", "32", "--size", "40G"}, 32, "mbr", 4, 0})
	}
	return append(m,
		disk{"defaults", nil, 0, "mbr", 4, 0},
		disk{"ESP", []string{"--esp"}, 0, "gpt", 4, 0},
		disk{"ESP FAT32", []string{"--esp", "--fat", "32"}, 32, "gpt", 4, 0},
		disk{"clusters of 64 KiB", []string{"--fat", "16", "--cluster", "64K", "--size", "300M"}, 16, "mbr", 4, 0},
		disk{"clusters of 512", []string{"--fat", "32", "--cluster", "512"}, 32, "mbr", 4, 0},
		disk{"2 GiB FAT16", []string{"--fat", "16", "--size", "2G"}, 16, "mbr", 4, 0},
		disk{"1 GiB FAT32", []string{"--fat", "32", "--size", "1G", "--table", "gpt"}, 32, "gpt", 4, 0},
		disk{"label and serial", []string{"--label", "MY LABEL", "--serial", "deadbeef", "--oem", "MSDOS5.0"}, 0, "mbr", 4, 0},
		disk{"room in the root", []string{"--fat", "16", "--reserve-root", "600"}, 16, "mbr", 4, 0},
		disk{"first files", []string{"--first", "lower.txt,big.bin"}, 0, "mbr", 4, 0},
		disk{"hidden dot files", []string{"--hide-dotfiles"}, 0, "mbr", 4, 0},
	)
}

func TestMatrix(t *testing.T) {
	dirs := map[int64]string{}
	for _, scale := range []int64{1, 2, 4} {
		dirs[scale] = hosttree.Make(t, plainTree(scale))
	}
	for _, d := range matrix() {
		t.Run(d.name, func(t *testing.T) {
			tree := judge(t, trial{dir: dirs[d.scale], args: d.args, o: fatread.Options{LBABytes: d.lba}})
			if d.fat != 0 && tree.Volume.Type != d.fat || tree.Disk.Table != d.table {
				t.Errorf("FAT%d on %s", tree.Volume.Type, tree.Disk.Table)
			}
			checkShape(t, d, tree)
		})
	}
}

// checkShape verifies what single options promise.
func checkShape(t *testing.T, d disk, tree *fatread.Tree) {
	t.Helper()
	v := tree.Volume
	switch d.name {
	case "ESP", "ESP FAT32":
		if p := tree.Disk.Partitions[0]; p.TypeGUID != fatread.GUIDSystem {
			t.Errorf("partition type %x", p.TypeGUID)
		}
	case "clusters of 64 KiB":
		if v.ClusterBytes != 64<<10 {
			t.Errorf("clusters of %d bytes", v.ClusterBytes)
		}
	case "label and serial":
		if v.Label != "MY LABEL" || v.Serial != 0xdeadbeef || v.OEM != "MSDOS5.0" {
			t.Errorf("%+v", v)
		}
	case "room in the root":
		if v.RootEntries < 600 {
			t.Errorf("%d root entries", v.RootEntries)
		}
	case "first files":
		if len(tree.Order) < 2 || tree.Order[0] != "lower.txt" || tree.Order[1] != "big.bin" || tree.Entries["lower.txt"].Clusters[0] != firstCluster(v) {
			t.Errorf("order %q, first cluster %v", tree.Order, tree.Entries["lower.txt"].Clusters)
		}
	}
	if strings.HasPrefix(d.name, "floppy") && v.Drive != 0 {
		t.Errorf("drive number %#x of a floppy", v.Drive)
	}
	for _, e := range tree.Entries {
		if len(e.Clusters) > 1 {
			t.Errorf("%q is in %d pieces", e.Path, len(e.Clusters))
		}
	}
}

// firstCluster is the first that a file can have: on FAT32 the root is before
// it.
func firstCluster(v fatread.Volume) uint32 {
	if v.Type == 32 && v.RootCluster == 2 {
		return 3
	}
	return 2
}

// TestQEMUNames serves fat: names, with the geometry that QEMU gives them.
func TestQEMUNames(t *testing.T) {
	dir := hosttree.Make(t, plainTree(1))
	host := hosttree.Read(t, dir)
	for _, c := range []struct {
		name           string
		fat            int
		table          string
		start, size    int64 // bytes
		sectors, heads uint16
	}{
		{"fat:", 16, "mbr", 63 * 512, 1024 * 16 * 63 * 512, 63, 16},
		{"fat:16:", 16, "mbr", 63 * 512, 1024 * 16 * 63 * 512, 63, 16},
		{"fat:32:", 32, "mbr", 63 * 512, 1024 * 16 * 63 * 512, 63, 16},
		{"fat:12:", 12, "mbr", 63 * 512, 64 * 16 * 63 * 512, 63, 16},
		{"fat:floppy:", 12, "none", 0, 2880 << 10, 36, 2},
		{"fat:12:floppy:", 12, "none", 0, 1440 << 10, 18, 2},
		{"fat:floppy:12:", 12, "none", 0, 1440 << 10, 18, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.name+dir)
			tree := readImage(t, s.img, fatread.Options{})
			hosttree.Compare(t, tree, host, hosttree.Same)
			fsck(t, s.img, tree.Disk)
			mcopyBack(t, s.img, tree.Disk, host)
			off, _ := volumeOffset(tree.Disk)
			v := tree.Volume
			if v.Type != c.fat || tree.Disk.Table != c.table || off != c.start || tree.Disk.SizeBytes != c.size ||
				v.SectorsPerTrack != c.sectors || v.Heads != c.heads || v.Label != "QEMU VVFAT" {
				t.Errorf("disk %+v, volume %+v", tree.Disk, v)
			}
		})
	}
}
