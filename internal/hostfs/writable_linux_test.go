package hostfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttest"
	"github.com/fatkit/fatkit/test/tools"
)

// TestWritable holds the host to the suite, on the file system of temporary
// files and in memory.
func TestWritable(t *testing.T) {
	for name, parent := range map[string]string{"temp": "", "memory": "/dev/shm"} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(parent); parent != "" && err != nil {
				tools.Missing(t, err.Error())
			}
			hosttest.Run(t, func(t testing.TB) hostfs.Writable {
				dir, err := os.MkdirTemp(parent, "fatkit")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(dir) })
				r, err := hostfs.OpenRoot(dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { r.Close() })
				return r
			})
		})
	}
}

// A program that wants a file under a lease waits, and the signal by which the
// kernel says so does not end this process.
func TestLeaseBreaks(t *testing.T) {
	dir := t.TempDir()
	r, err := hostfs.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("A"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = hostfs.InDir(r, "a", func(d hostfs.Dir, name string) error {
		f, err := d.OpenFile(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Lease(); errors.Is(err, errors.ErrUnsupported) {
			tools.Missing(t, err.Error())
		} else if err != nil {
			return err
		}
		if fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != unix.EWOULDBLOCK {
			unix.Close(fd)
			t.Errorf("another open under the lease: %v", err)
		}
		if f.Leased() {
			t.Error("nobody seems to wait")
		}
		if err := f.Release(); err != nil {
			return err
		}
		return os.WriteFile(path, []byte("B"), 0o644)
	})
	if err != nil {
		t.Error(err)
	}
}
