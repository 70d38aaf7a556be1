package fatread_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/tools"
)

// The reader must find nothing wrong with what mkfs.fat and mtools write: a
// judge that objects to good disks is no judge.

// controls are ways of making a volume.
var controls = []struct {
	name    string
	sizeKiB int
	mkfs    []string
	want    int
}{
	{"floppy", 1440, []string{"-F", "12"}, 12},
	{"FAT12", 6 << 10, []string{"-F", "12"}, 12},
	{"FAT16", 40 << 10, []string{"-F", "16"}, 16},
	{"FAT16 4K sectors", 64 << 10, []string{"-F", "16", "-S", "4096", "-s", "1"}, 16},
	{"FAT32", 300 << 10, []string{"-F", "32"}, 32},
}

var modified = time.Date(2023, 10, 29, 2, 30, 58, 0, time.UTC)

// hostTree writes a small tree and returns its files.
func hostTree(t *testing.T) (dir string, files map[string][]byte) {
	dir = t.TempDir()
	files = map[string][]byte{
		"readme.txt":                      []byte("hello"),
		"empty":                           nil,
		"A long name with Grüße.markdown": bytes.Repeat([]byte("long "), 5000),
		"sub/deeper/日本語のファイル.bin":          {0, 1, 2},
		"sub/" + strings.Repeat("x", 255):  []byte("longest"),
		"sub/" + strings.Repeat("y", 13*4): []byte("no terminator"),
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

// mkfs writes an empty volume at an offset of a new image of sizeKiB.
func mkfs(t *testing.T, img string, sizeKiB, offsetKiB int, args ...string) {
	f, err := os.OpenFile(img, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(sizeKiB+offsetKiB) << 10); err != nil {
		t.Fatal(err)
	}
	if offsetKiB > 0 {
		args = append(args, "--offset", fmt.Sprint(offsetKiB*2), "-h", fmt.Sprint(offsetKiB*2))
	}
	tools.Run(t, "mkfs.fat", append(args, "-n", "CONTROL", "-i", "1234abcd", img, fmt.Sprint(sizeKiB))...)
}

// fill copies a host tree to a volume with mtools.
func fill(t *testing.T, img, dir string, offsetKiB int) {
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-s", "-m", "-Q", "-i", fmt.Sprintf("%s@@%dK", img, offsetKiB)}
	for _, n := range names {
		args = append(args, filepath.Join(dir, n.Name()))
	}
	r := tools.TryEnv(t, []string{"TZ=UTC"}, "mcopy", append(args, "::/")...)
	if r.Code != 0 {
		t.Fatal(r)
	}
}

// judge reads an image and compares it with files.
func judge(t *testing.T, img string, files map[string][]byte) *fatread.Tree {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := fatread.Read(f, fi.Size(), fatread.Options{Used: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, e := range tree.Entries {
		if e.Dir {
			continue
		}
		n++
		data, ok := files[path]
		if !ok || e.Hash != sha256.Sum256(data) {
			t.Errorf("%q: known %v, %d bytes", path, ok, e.Size)
		}
		if !e.Modified.Equal(modified) {
			t.Errorf("%q: modified %v, want %v", path, e.Modified, modified)
		}
	}
	if n != len(files) {
		t.Errorf("%d files, want %d", n, len(files))
	}
	return tree
}

func TestAcceptsMtoolsVolumes(t *testing.T) {
	tools.Need(t, "mkfs.fat", "mcopy")
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			dir, files := hostTree(t)
			img := filepath.Join(t.TempDir(), "control.img")
			mkfs(t, img, c.sizeKiB, 0, c.mkfs...)
			fill(t, img, dir, 0)
			tree := judge(t, img, files)
			if v := tree.Volume; v.Type != c.want || v.Label != "CONTROL" || v.Serial != 0x1234abcd {
				t.Errorf("volume %+v", v)
			}
		})
	}
}

func TestAcceptsPartitionedDisks(t *testing.T) {
	tools.Need(t, "mkfs.fat", "mcopy", "sgdisk", "sfdisk")
	for _, table := range []string{"mbr", "gpt"} {
		t.Run(table, func(t *testing.T) {
			dir, files := hostTree(t)
			img := filepath.Join(t.TempDir(), "control.img")
			mkfs(t, img, 40<<10, 1<<10, "-F", "16")
			fill(t, img, dir, 1<<10)
			if table == "gpt" { // one more MiB for the backup
				if err := os.Truncate(img, 42<<20); err != nil {
					t.Fatal(err)
				}
				tools.Run(t, "sgdisk", "-n", "1:2048:83967", "-t", "1:ef00", "-c", "1:boot", img)
			} else {
				script := filepath.Join(t.TempDir(), "layout")
				if err := os.WriteFile(script, []byte("label: dos\n2048,81920,0e,*\n"), 0o666); err != nil {
					t.Fatal(err)
				}
				tools.Run(t, "sh", "-c", tools.Lookup("sfdisk")+` "$0" <"$1"`, img, script)
			}
			d := judge(t, img, files).Disk
			if d.Table != table || len(d.Partitions) != 1 || d.Partitions[0].StartBytes != 1<<20 {
				t.Fatalf("%+v", d)
			}
			p := d.Partitions[0]
			if table == "gpt" && (p.TypeGUID != fatread.GUIDSystem || p.Name != "boot") || table == "mbr" && (p.Type != 0x0E || !p.Active) {
				t.Errorf("%+v", p)
			}
		})
	}
}
