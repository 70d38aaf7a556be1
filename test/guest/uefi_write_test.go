package guest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// shellWrites are commands of the UEFI shell (UEFI Shell Specification 2.2) that
// do with files what an update of a boot loader does, and more.
var shellWrites = []string{
	`mkdir made`,
	`mkdir made\deeper`,
	`cp -q numbers.bin made\copied.bin`,
	`cp -r -q folder "made\A copy of the folder"`,
	`cp -q small.txt numbers.bin`, // shorter than it was
	`cp -q large.bin grown.bin`,   // longer than it was
	`echo first line >a made\echo.txt`,
	`echo second line >>a made\echo.txt`,
	`echo appended >>a append.txt`,
	`mv small.txt moved.txt`,
	`mv moved.txt made\deeper\moved.txt`,
	`mv "folder\A rather long file name.text" "folder\Another long file name.text"`,
	`mv tree made\tree`,
	`mv swap1 t`, `mv swap2 swap1`, `mv t swap2`,
	`rm -q delete.txt`,
	`rm -q gone`,
	`rm -q become`, `mkdir become`, `echo inside >a become\inside.txt`,
	`setsize 100 set.bin`,
	`setsize 0 emptied.bin`,
	`attrib +r readonly.txt`,
	`attrib -r writable.txt`,
	`attrib +h +s hidden.txt`,
	`touch touched.txt`,
}

// shellClock is the time that the machine begins with.
var shellClock = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)

// shellFixture is what the directory has before.
func shellFixture(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := strings.Repeat("0123456789abcdef", 4096)
	for name, data := range map[string]string{
		"numbers.bin": text[:12345], "small.txt": "small", "large.bin": text, "grown.bin": text[:100], "append.txt": "one\r\n",
		"folder/A rather long file name.text": "CONTENTS", "folder/sub/two": "2", "tree/a/b": "b", "tree/c": "c",
		"swap1": "one", "swap2": "two", "delete.txt": "delete", "gone/x": "x", "gone/y/z": "z", "become": "a file",
		"set.bin": text[:5000], "emptied.bin": text[:3000], "readonly.txt": "r", "writable.txt": "w", "hidden.txt": "h", "touched.txt": "t",
		"untouched.bin": text,
		"startup.nsh":   "@echo -off\r\nFS0:\r\n" + strings.Join(shellWrites, "\r\n") + "\r\necho SHELL DONE\r\nreset -s\r\n",
	} {
		writeFile(t, dir, name, []byte(data))
		old := time.Date(2020, 1, 2, 3, 4, 6, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "writable.txt"), 0o444); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runShell starts the UEFI shell on a disk that it may write, and waits until it
// has done its commands and switched the machine off.
func runShell(t *testing.T, disk string) {
	t.Helper()
	clock := []string{"-rtc", "base=" + shellClock.Format("2006-01-02T15:04:05")}
	drive := []string{"-drive", strings.Replace(DiskArg(disk), "readonly=on", "readonly=off", 1)}
	m := Start(t, append(append(FirmwareArgs(t), clock...), drive...)...)
	m.WaitFor(t, "SHELL DONE")
	m.WaitEnd(t)
	if out := printable(m.Serial()); strings.Contains(out, "rror") || strings.Contains(out, "nable") {
		t.Fatalf("a command failed:\n%s", out)
	}
}

// TestShellWrites lets the UEFI shell work with EDK2's FAT driver on a volume
// of mkfs.fat and on writable disks. When it has left, each directory holds what its
// disk shows, and that is what the volume of mkfs.fat shows.
func TestShellWrites(t *testing.T) {
	disks := [][]string{{"--fat", "16", "--table", "mbr"}}
	if product.Long() {
		disks = append(disks, []string{"--fat", "12", "--table", "none"}, []string{"--fat", "32", "--table", "gpt"})
	}
	trees := make([]*fatread.Tree, 1+len(disks))
	t.Run("guests", func(t *testing.T) {
		t.Run("control", func(t *testing.T) {
			t.Parallel()
			trees[0] = shellWritesImage(t)
		})
		for i, args := range disks {
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				trees[i+1] = shellWritesDirectory(t, args)
			})
		}
	})
	for i, tree := range trees[1:] {
		if tree == nil || trees[0] == nil {
			t.FailNow() // its own test says why
		}
		compareDisks(t, strings.Join(disks[i], " "), trees[0], tree)
	}
}

// shellWritesImage returns what a volume of mkfs.fat holds afterwards.
func shellWritesImage(t *testing.T) *fatread.Tree {
	const sizeMiB = 40
	img := controlImage(t, shellFixture(t), sizeMiB, "16")
	runShell(t, img)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readWritten(t, f, sizeMiB<<20)
}

// shellWritesDirectory returns what the disk of a directory holds afterwards,
// and fails unless the directory holds the same.
func shellWritesDirectory(t *testing.T, args []string) *fatread.Tree {
	dir := shellFixture(t)
	s := product.Serve(t, append(args, "--rw", "--state", t.TempDir(), "--timezone", "utc", "--refresh", "never", dir)...)
	runShell(t, s.URI)
	if r := tools.TryEnv(t, s.Env(), product.Binary(t), "sync", dir); r.Code != 0 {
		t.Fatal(r)
	}
	client, err := nbd.Dial(t.Context(), s.URI)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tree := readWritten(t, client, client.Size())
	hosttree.Compare(t, tree, hosttree.Read(t, dir), hosttree.Same)
	return tree
}

// readWritten reads a disk that a guest has written to.
func readWritten(t *testing.T, disk io.ReaderAt, sizeBytes int64) *fatread.Tree {
	t.Helper()
	tree, err := fatread.Read(disk, sizeBytes, fatread.Options{Used: true})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// compareDisks compares what the same commands made of two disks.
func compareDisks(t *testing.T, name string, control, tree *fatread.Tree) {
	t.Helper()
	for p := range tree.Entries {
		if control.Entries[p] == nil {
			t.Errorf("%s: %q is not on the volume of mkfs.fat", name, p)
		}
	}
	for p, want := range control.Entries {
		got := tree.Entries[p]
		const kept = fatread.AttrReadOnly | fatread.AttrHidden | fatread.AttrSystem
		switch {
		case got == nil || got.Dir != want.Dir || got.Hash != want.Hash:
			t.Errorf("%s: %q is not what it is on the volume of mkfs.fat", name, p)
		case got.Attr&kept != want.Attr&kept:
			t.Errorf("%s: %q has attributes %#x, want %#x", name, p, got.Attr, want.Attr)
		case !want.Dir && got.Modified.Before(shellClock) != want.Modified.Before(shellClock):
			t.Errorf("%s: %q has the time %v, and %v on the volume of mkfs.fat", name, p, got.Modified, want.Modified)
		}
	}
}
