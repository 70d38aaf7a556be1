package hostfs_test

import (
	"os"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttest"
)

// TestWritable holds the host to the suite, on the file system of temporary
// files and in memory.
func TestWritable(t *testing.T) {
	for name, parent := range map[string]string{"temp": "", "memory": "/dev/shm"} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(parent); parent != "" && err != nil {
				t.Skip(err)
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
