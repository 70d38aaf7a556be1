package file

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A copy inside the kernel gives the bytes of the source, on a file system
// that cannot share blocks as well.
func TestCopyInsideKernel(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			want := bytes.Repeat([]byte("0123456789abcdef"), 20000)
			path := filepath.Join(dir, "source")
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
			src, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			d, err := CreateTemp(dir, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			d.sys.noShare = false
			if err := d.WriteFile(5000, src, 16, int64(len(want))-16); errors.Is(err, errors.ErrUnsupported) {
				t.Skip("this kernel copies no ranges here")
			} else if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want)-16)
			if _, err := d.ReadAt(got, 5000); err != nil || !bytes.Equal(got, want[16:]) {
				t.Errorf("the copy differs, %v", err)
			}
			if err := d.WriteFile(0, src, int64(len(want))-10, 20); err == nil {
				t.Error("a range past the end of the source was copied")
			}
		})
	}
}
