package drivers

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/stack"
)

// A server that goes away under a volume: what needs it fails as a disk does that
// broke, and the volume can be unmounted.
func TestServerGoesAway(t *testing.T) {
	for name, force := range map[string]bool{"closed": false, "forced": true} {
		t.Run(name, func(t *testing.T) {
			src := fatSource(t, 16, 40<<20)
			s := nbd.NewServer(nbd.ServerOptions{})
			must(t, s.AddExport(nbd.Export{Name: "disk", Device: src.Device}))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			go s.Serve(context.Background(), l)
			o := stack.FileSystemOptions{}
			o.Image.Writable = true
			remote, err := Open(t.Context(), nbd.URI(l.Addr(), "disk", false), o)
			must(t, err)
			n, _ := mounted(t, remote)
			f, err := n.Create(`a:\f`)
			must(t, err)
			_, err = f.Write(make([]byte, 1<<20))
			must(t, err)
			must(t, n.Flush("a:"))
			now, cancel := context.WithCancel(context.Background())
			cancel() // a server that is killed asks nobody
			s.Shutdown(now)

			_, read := f.ReadAt(make([]byte, 4096), 512<<10)
			_, _ = f.WriteAt([]byte("x"), 0) // may be kept in memory
			for what, err := range map[string]error{"read": read, "sync": f.Sync(), "flush": n.Flush("a:")} {
				if !errors.Is(err, syscall.EIO) || !errors.As(err, new(*fs.PathError)) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if !force {
				f.Close()
			}
			unmounted := make(chan error, 1)
			go func() { unmounted <- n.Unmount("a:", force) }()
			select {
			case err := <-unmounted:
				if err == nil {
					t.Error("the changes that were lost are not mentioned")
				}
			case <-time.After(time.Minute):
				t.Fatal("the unmount hangs")
			}
			if len(n.Mounts()) != 0 {
				t.Error("it is still mounted")
			}
			if _, err := n.OpenFile(`a:\f`, os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open: %v", err)
			}
		})
	}
}
