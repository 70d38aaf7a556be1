package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

func TestMain(m *testing.M) { product.Main(m) }

// writeFile writes a file of a tree and the folders above it.
func writeFile(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// controlImage makes a FAT volume of a host tree with mkfs.fat and mtools.
func controlImage(t testing.TB, dir string, sizeMiB int64, fatType string) string {
	t.Helper()
	tools.Need(t, "mkfs.fat", "mcopy")
	img := filepath.Join(t.TempDir(), "control.img")
	writeFile(t, filepath.Dir(img), filepath.Base(img), nil)
	if err := os.Truncate(img, sizeMiB<<20); err != nil {
		t.Fatal(err)
	}
	tools.Run(t, "mkfs.fat", "-F", fatType, img)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-s", "-m", "-Q", "-i", img}
	for _, e := range entries {
		args = append(args, filepath.Join(dir, e.Name()))
	}
	if r := tools.TryEnv(t, []string{"TZ=UTC"}, "mcopy", append(args, "::/")...); r.Code != 0 {
		t.Fatal(r)
	}
	return img
}

// TestControlBoots makes sure that the harness works without fatkit: OVMF runs
// the application from a volume of mkfs.fat.
func TestControlBoots(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, BootPath, BootApp("VERSION 1"))
	img := controlImage(t, dir, 40, "16")
	m := Start(t, append(FirmwareArgs(t), "-drive", DiskArg(img))...)
	m.WaitFor(t, "VERSION 1")
	m.Reset(t)
	m.WaitFor(t, "VERSION 1")
}

// TestFirmwareRunsWhatWasRebuilt boots a disk made from a directory. The
// application is then rebuilt, in a tree that has changed in other ways too,
// and the machine reset without reconnecting: it must run the new one.
func TestFirmwareRunsWhatWasRebuilt(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    []string
		refresh []string // arguments of fatkit refresh; nil: it is not run
		code    int      // its exit code
	}{
		{"refresh at the reset", nil, []string{}, 4},
		{"refresh at once", nil, []string{"--force"}, 0},
		{"refresh on boot-read", []string{"--refresh-on", "boot-read"}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // a firmware spends much of its time waiting
			dir := t.TempDir()
			writeFile(t, dir, BootPath, BootApp("VERSION 1"))
			writeFile(t, dir, "other/data.bin", make([]byte, 100_000))
			s := product.Serve(t, append(append(c.args, "--esp"), dir)...)
			m := Start(t, append(FirmwareArgs(t), "-drive", DiskArg(s.URI))...)
			m.WaitFor(t, "VERSION 1")
			writeFile(t, dir, "a new file, which comes first", make([]byte, 50_000))
			writeFile(t, dir, BootPath, append(BootApp("VERSION 2"), make([]byte, 70_000)...))
			if c.refresh != nil {
				args := append(append([]string{"refresh"}, c.refresh...), dir)
				if r := tools.TryEnv(t, s.Env(), product.Binary(t), args...); r.Code != c.code {
					t.Errorf("%s: exit code %d, want %d\n%s%s", r.Command, r.Code, c.code, r.Stdout, r.Stderr)
				}
			}
			m.Reset(t)
			m.WaitFor(t, "VERSION 2")
		})
	}
}

// TestShellReads starts the UEFI shell, which finds startup.nsh on the disk
// and lists and types files with EDK2's FAT driver, on every FAT type.
func TestShellReads(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "startup.nsh", []byte("@echo -off\r\nFS0:\r\nls -r -b \\\r\ntype \"a folder\\A rather long file name.text\"\r\necho SHELL DONE\r\n"))
	writeFile(t, dir, "a folder/A rather long file name.text", []byte("CONTENTS OF THE FILE\r\n"))
	writeFile(t, dir, "a folder/numbers.bin", make([]byte, 12345))
	for _, args := range [][]string{{"--fat", "12"}, {"--fat", "16", "--table", "none"}, {"--fat", "32", "--table", "gpt"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := product.Serve(t, append(args, dir)...)
			m := Start(t, append(FirmwareArgs(t), "-drive", DiskArg(s.URI))...)
			m.WaitFor(t, "12,345")
			m.WaitFor(t, "CONTENTS OF THE FILE")
			m.WaitFor(t, "SHELL DONE")
			if out := m.Serial(); !strings.Contains(out, "A rather long file name.text") {
				t.Errorf("the shell lists no long name:\n%s", printable(out))
			}
		})
	}
}
