package volume_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/volume"
)

// rounds returns how much a goroutine of the test below does.
func rounds() int {
	if os.Getenv("FATKIT_LONG") != "" {
		return 400
	}
	return 25
}

// expected reports whether an error is one that another goroutine may cause by
// mounting and unmounting.
func expected(err error) bool {
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrClosed) || errors.Is(err, fs.ErrExist) || errors.Is(err, volume.ErrBusy)
}

// remounter mounts and unmounts media at random: two FAT devices of three, and
// two directories of the host. The first device is left alone.
type remounter struct {
	n       *volume.Namespace
	devices [3]*mem.Device
	dirs    [2]string
}

func newRemounter(t *testing.T) *remounter {
	r := &volume.Registry{}
	must(t, r.Register(fatDriver{}))
	m := &remounter{n: volume.New(r, volume.Options{})}
	for i := range m.devices {
		m.devices[i] = mem.New(16 << 20)
		if _, err := fat.Format(m.devices[i], fat.FormatOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range m.dirs {
		m.dirs[i] = t.TempDir()
	}
	for i := range 5 {
		must(t, m.mount(i))
	}
	return m
}

// mount mounts volume i at letter A, B, C, D or E.
func (m *remounter) mount(i int) error {
	point := string(rune('A'+i)) + ":"
	if i < len(m.devices) {
		return m.n.Mount(context.Background(), point, &volume.Source{Name: point, Device: m.devices[i]}, "")
	}
	h, err := host.New(m.dirs[i-len(m.devices)])
	if err != nil {
		return err
	}
	err = m.n.Attach(point, h, point)
	if err != nil {
		h.Close()
	}
	return err
}

// work does something at random, and says what is wrong, if anything.
func (m *remounter) work(id int, r *rand.Rand) error {
	drive := string(rune('A' + r.IntN(5)))
	name := fmt.Sprintf(`%s:\f%d`, drive, id)
	content := strings.Repeat(drive, 1+r.IntN(3000))
	switch r.IntN(16) {
	case 0:
		return m.n.Unmount(string(rune('B'+r.IntN(4)))+":", r.IntN(2) == 0)
	case 1, 2:
		return m.mount(1 + r.IntN(4))
	case 3:
		_, err := m.n.Copy(context.Background(), fmt.Sprintf(`%c:\c%d`, 'A'+r.IntN(5), id), name, vfs.CopyOptions{})
		return err
	case 4:
		return m.n.Rename(name, fmt.Sprintf(`%c:\f%d`, 'A'+r.IntN(5), id))
	case 5:
		_, err := m.n.ReadDir(drive + `:\`)
		return err
	case 6:
		err := m.n.Subst("S:", drive+`:\`)
		if err == nil {
			err = m.n.Unmount("S:", false)
		}
		return err
	case 7:
		m.n.Files()
		for _, i := range m.n.Mounts() {
			if i.Volume != nil {
				if _, err := i.Volume.Info(); !expected(err) {
					return err
				}
			}
		}
		return nil
	case 8:
		return m.n.Check(context.Background(), string(rune('A'+r.IntN(3)))+":", false, func(f diskerr.Finding) {
			if f.Severity == diskerr.Error {
				panic(f.Message)
			}
		})
	}
	return m.writeAndRead(name, content)
}

func (m *remounter) writeAndRead(name, content string) error {
	f, err := m.n.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	got := make([]byte, len(content))
	if err == nil {
		_, err = f.ReadAt(got, 0)
	}
	if err == nil && string(got) != content {
		return fmt.Errorf("%s holds %.20q, want %.20q", name, got, content)
	}
	return errors.Join(err, f.Close())
}

// Two hundred goroutines use five volumes, four of which come and go.
func TestManyGoroutines(t *testing.T) {
	m := newRemounter(t)
	var wg sync.WaitGroup
	var worked atomic.Int64
	for id := range 200 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(id), 1))
			for range rounds() {
				err := m.work(id, r)
				if err == nil {
					worked.Add(1)
				} else if !expected(err) && !strings.Contains(err.Error(), "cannot be copied onto itself") {
					t.Errorf("goroutine %d: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	// Calls that meet an unmount fail at once, so they are many.
	if n := worked.Load(); n < int64(200*rounds()/20) {
		t.Errorf("only %d operations of %d did something", n, 200*rounds())
	}
	for i := range 5 { // whatever is mounted still works
		if err := m.mount(i); err != nil && !errors.Is(err, volume.ErrInUse) {
			t.Error(err)
		}
		must(t, m.writeAndRead(fmt.Sprintf(`%c:\last`, 'A'+i), "last"))
	}
	must(t, m.n.Close())
	for i, d := range m.devices {
		res, err := fat.Check(t.Context(), d, fat.CheckOptions{})
		if err != nil || !res.Clean() {
			t.Errorf("device %d: %+v, %v", i, res, err)
		}
	}
}

// stuck is a device whose reads wait.
type stuck struct {
	*mem.Device
	wait    atomic.Pointer[chan struct{}]
	waiting chan struct{} // gets a value for each read that waits
}

func (s *stuck) ReadAt(p []byte, off int64) (int, error) {
	if c := s.wait.Load(); c != nil {
		s.waiting <- struct{}{}
		<-*c
	}
	return s.Device.ReadAt(p, off)
}

func (s *stuck) ReadAtCached(p []byte, off int64) (int, error) { return s.ReadAt(p, off) }

// While a volume hangs the others work, and its unmount waits for the call under
// way.
func TestVolumesDoNotWaitForEachOther(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	src, _ := fatSource(t, 1440)
	dev := &stuck{Device: src.Device.(*mem.Device), waiting: make(chan struct{}, 1000)}
	src.Device = dev
	must(t, n.Mount(t.Context(), "h:", src, ""))
	write(t, n, `h:\f`, strings.Repeat("x", 100_000))
	f, err := n.Open(`h:\f`)
	must(t, err)
	release := make(chan struct{})
	dev.wait.Store(&release)
	read := make(chan error, 1)
	go func() {
		_, err := f.Read(make([]byte, 100_000))
		read <- err
	}()
	<-dev.waiting
	unmounted := make(chan error, 1)
	go func() { unmounted <- n.Unmount("h:", true) }()
	write(t, n, `a:\g`, "works")
	must(t, n.Rename(`a:\g`, `c:\g`))
	wantFile(t, n, `c:\g`, "works")
	n.Files()
	must(t, n.Subst("s:", `c:\`))
	must(t, n.Unmount("s:", false))
	select {
	case err := <-unmounted:
		t.Fatalf("the unmount did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	dev.wait.Store(nil)
	close(release)
	if err := <-read; err != nil && !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	must(t, <-unmounted)
}
