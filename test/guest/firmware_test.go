package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

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
