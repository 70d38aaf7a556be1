package guest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
)

// writeScript does on each of the devices $devices what people and programs do
// with files. Every step is one scenario of write-back; $many and $large say how
// much of it.
const writeScript = `
set -e
for dev in $devices; do
	mount -t vfat -o rw,utf8=1,shortname=mixed,tz=UTC,codepage=437,iocharset=utf8 "/dev/$dev" /mnt
	cd /mnt
	echo created >new.txt
	mkdir -p fresh/deeper
	echo "in a new folder" >fresh/deeper/file.txt
	printf OVER | dd of=keep/over.bin bs=1 seek=1000 conv=notrunc 2>/dev/null
	echo appended >>keep/append.txt
	head -c 70000 /dev/zero >>keep/grow.bin
	truncate -s 100 keep/shorter.bin
	truncate -s 50000 keep/longer.bin
	: >keep/emptied.bin
	rm keep/delete.txt
	mv keep/rename.txt keep/renamed.txt
	mv folder "renamed folder"
	mv keep/move.txt fresh/moved.txt
	mv nested/inner fresh/inner
	mv swap/a swap/t; mv swap/b swap/a; mv swap/t swap/b
	mv cycle/1 cycle/t; mv cycle/2 cycle/1; mv cycle/3 cycle/2; mv cycle/t cycle/3
	echo replaced >keep/replace.new; mv keep/replace.new keep/replace.txt
	mv keep/case.txt keep/t; mv keep/t keep/Case.Txt
	echo long >"fresh/$(printf 'a%.0s' $(seq 1 200)).text"
	echo emoji >"fresh/Größe 😀 日本.md"
	mkdir many; i=0
	while [ $i -lt $many ]; do echo "file $i" >"many/file number $i"; i=$((i+1)); done
	head -c "$large" /dev/urandom >large.bin
	for i in $(seq 1 40); do for f in x y z; do head -c 3000 /dev/urandom >>"fresh/interleaved.$f"; done; done
	cp -r nested copy
	rm -r copy/half
	rm -r tree
	: >fresh/empty
	rm become; mkdir become; echo inside >become/inside
	touch -d '2020-02-03 04:05:06' keep/touched.txt
	chmod a-w keep/readonly.txt
	sync
	echo "after a sync" >>new.txt
	cd /
	umount /mnt
done
`

// writeFixture is what the directory has before.
func writeFixture(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	big := strings.Repeat("0123456789abcdef", 4096)
	for name, data := range map[string]string{
		"keep/over.bin": big[:8000], "keep/append.txt": "one\n", "keep/grow.bin": big[:5000], "keep/shorter.bin": big[:9000],
		"keep/longer.bin": big[:700], "keep/emptied.bin": big[:3000], "keep/delete.txt": "delete me", "keep/rename.txt": "rename me",
		"keep/move.txt": "move me", "keep/replace.txt": "old", "keep/case.txt": "case", "keep/touched.txt": "touch",
		"keep/readonly.txt": "ro", "keep/untouched.bin": big, "folder/one": "1", "folder/sub/two": "2", "nested/inner/x": "x",
		"nested/half/a": "a", "nested/half/b": "b", "nested/stay": "stay", "swap/a": "was a", "swap/b": "was b", "cycle/1": "1",
		"cycle/2": "2", "cycle/3": "3", "tree/a/b/c": "c", "tree/a/d": "d", "tree/e": "e", "become": "a file", "untouched.txt": big[:100],
	} {
		writeFile(t, dir, name, []byte(data))
	}
	return dir
}

// TestLinuxWrites lets a Linux guest work on writable disks of all three types.
// When it has left, the directories hold what the guest saw last.
func TestLinuxWrites(t *testing.T) {
	NeedKernel(t)
	many, large := 60, 2<<20
	if os.Getenv("FATKIT_LONG") != "" {
		many, large = 500, 50<<20
	}
	var disks, dirs []string
	var servers []*product.Server
	for _, args := range [][]string{
		{"--fat", "12", "--table", "none", "--size", "100M"}, {"--fat", "16", "--table", "mbr", "--size", "300M"}, {"--fat", "32", "--table", "gpt", "--size", "600M"},
	} {
		dir := writeFixture(t)
		s := product.Serve(t, append(args, "--rw", "--state", t.TempDir(), "--timezone", "utc", dir)...)
		disks, dirs, servers = append(disks, strings.Replace(DiskArg(s.URI), "readonly=on", "readonly=off", 1)), append(dirs, dir), append(servers, s)
	}
	devices := "devices='vda vdb1 vdc1'\n"
	script := fmt.Sprintf("many=%d; large=%d\n", many, large) + devices + writeScript + ReadTreeScript
	saw, err := ParseTrees(StartLinux(t, script, disks...).Report(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, guest := range saw {
		t.Run([]string{"FAT12", "FAT16", "FAT32"}[i], func(t *testing.T) {
			if err := servers[i].Stop(); err != nil {
				t.Errorf("%v\n%s", err, servers[i].Log())
			}
			compareWritten(t, guest, hosttree.Read(t, dirs[i]))
		})
	}
}

// compareWritten compares what the guest saw last with what the host has.
func compareWritten(t *testing.T, guest map[string]TreeFile, host map[string]hosttree.File) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(host)) {
		if _, ok := guest[p]; !ok {
			t.Errorf("%q is on the host, and the guest does not have it", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(guest)) {
		g := guest[p]
		h, ok := host[p]
		switch {
		case !ok || g.Dir != h.Dir:
			t.Errorf("%q is on the host: %v, as a directory: %v", p, ok, h.Dir)
		case g.Dir:
		case g.Size != h.Size || g.Sum != hex.EncodeToString(h.Hash[:]):
			t.Errorf("%q has other bytes on the host: %d, want %d", p, h.Size, g.Size)
		case g.ModTime != hosttree.FATTime(h.Modified).Unix():
			t.Errorf("%q has the time %v on the host, want %v", p, h.Modified.UTC(), time.Unix(g.ModTime, 0).UTC())
		case h.ReadOnly != (g.Mode&0o200 == 0):
			t.Errorf("%q: the guest saw mode %o; read-only on the host: %v", p, g.Mode, h.ReadOnly)
		}
	}
}
