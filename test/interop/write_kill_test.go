//go:build unix

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/copy"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// steady is a disk whose server may die: the guest notices nothing but the time
// that it takes. Our own client is careful and gives up when a server is lost that had
// not flushed, so another one takes its place. A shadow is kept of what was answered.
type steady struct {
	t      *testing.T
	uri    string
	client *nbd.Client
	shadow *mem.Device
}

func newSteady(t *testing.T, uri string) *steady {
	t.Helper()
	client, err := nbd.Dial(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	d := &steady{t, uri, client, mem.New(client.Size())}
	if err := copy.Copy(t.Context(), d.shadow, client, copy.Options{}); err != nil {
		t.Fatal(err)
	}
	return d
}

// do calls what is to be done with a client until one succeeds.
func (d *steady) do(call func(c *nbd.Client) error) error {
	for deadline := time.Now().Add(reconnectPatience); ; {
		err := call(d.client)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		_ = d.client.Close() // its connection is gone
		for d.client = nil; d.client == nil; time.Sleep(time.Millisecond) {
			if d.client, err = nbd.Dial(d.t.Context(), d.uri); err != nil && time.Now().After(deadline) {
				return err
			}
		}
	}
}

func (d *steady) ReadAt(p []byte, off int64) (n int, err error) {
	err = d.do(func(c *nbd.Client) error {
		n, err = c.ReadAt(p, off)
		return err
	})
	return n, err
}

func (d *steady) WriteAt(p []byte, off int64) (n int, err error) {
	err = d.do(func(c *nbd.Client) error {
		n, err = c.WriteAt(p, off)
		return err
	})
	if err == nil {
		_, err = d.shadow.WriteAt(p, off)
	}
	return n, err
}

func (d *steady) Flush() error { return d.do((*nbd.Client).Flush) }
func (d *steady) Size() int64  { return d.shadow.Size() }
func (d *steady) Close() error { return d.client.Close() }

// TestWriteKills kills the server of a directory again and again, at random
// moments, while a guest works on its disk. The guest's connection comes back, each
// write that was answered is on the disk, and in the end the directory holds what
// the guest has.
func TestWriteKills(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			t.Parallel()
			writeKills(t, typ)
		})
	}
}

// mortal is a server that is killed again and again.
type mortal struct {
	start func() (*product.Server, error)
	s     *product.Server
	kills int
	err   error

	stop, ended chan struct{}
}

// killPause is the longest time between a start of the server and its end.
const killPause = 40 * time.Millisecond

// run kills and starts the server until stop is closed, or it does not start any more.
func (m *mortal) run(rnd *rand.Rand) {
	defer close(m.ended)
	for m.err == nil {
		select {
		case <-m.stop:
			return
		case <-time.After(time.Duration(rnd.Int64N(int64(killPause)))):
		}
		if m.err = m.s.Kill(); m.err == nil {
			m.s, m.err = m.start()
			m.kills++
		}
	}
}

// serveMortal serves a directory for writing, on a disk without a table.
func serveMortal(t *testing.T, typ int, dir string) *mortal {
	t.Helper()
	run, err := os.MkdirTemp("", "fk") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	socket := filepath.Join(run, "s")
	args := []string{"serve", "--listen", "unix:" + socket, "--rw", "--state", t.TempDir(), "--settle", "5ms",
		"--max-deletes", "1000000", "--refresh", "never", "--timezone", "utc", "--fat", fmt.Sprint(typ)}
	args = append(append(args, scenarioArgs[typ]...), "--table", "none", dir)
	m := &mortal{stop: make(chan struct{}), ended: make(chan struct{})}
	m.start = func() (*product.Server, error) {
		return product.StartServer(socket, []string{"XDG_RUNTIME_DIR=" + run}, product.Binary(t), args...)
	}
	if m.s, err = m.start(); err != nil {
		t.Fatal(err)
	}
	return m
}

func writeKills(t *testing.T, typ int) {
	steps := 25
	if product.Long() {
		steps = 1000
	}
	dir := t.TempDir()
	for name, text := range scenarioFixture() {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	m := serveMortal(t, typ, dir)
	disk := newSteady(t, m.s.URI)
	rnd := rand.New(rand.NewPCG(1, uint64(typ)))
	go m.run(rand.New(rand.NewPCG(2, uint64(typ))))
	guest, log := guestWorks(t, disk, steps, rnd)
	close(m.stop)
	<-m.ended
	if m.err != nil {
		t.Fatal(m.err)
	}
	t.Logf("%d steps of the guest, %d kills", steps, m.kills)
	if r := tools.TryEnv(t, []string{"XDG_RUNTIME_DIR=" + filepath.Dir(m.s.Socket)}, product.Binary(t), "sync", dir); r.Code != 0 {
		t.Fatalf("%v\n%s\n%s", r, m.s.Log(), log)
	}
	if d := fatguest.Difference(guest, fatguest.Read(t, os.DirFS(dir))); d != "" {
		t.Errorf("the directory has not what the guest has:\n%s\n%s\n%s", d, m.s.Log(), log)
	}
	if off := differAt(t, disk); off >= 0 {
		t.Errorf("the disk is not what was written at %d", off)
	}
	if err := errors.Join(disk.Close(), m.s.Stop()); err != nil {
		t.Errorf("%v\n%s", err, m.s.Log())
	}
}

// guestWorks lets a guest do random steps, and returns what it sees in the end.
func guestWorks(t *testing.T, disk block.Device, steps int, rnd *rand.Rand) (tree map[string]string, log string) {
	t.Helper()
	guest, err := fat.Open(disk, fat.Options{WriteBack: -1, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for range steps {
		lines = append(lines, fatguest.Step(guest, fatguest.Read(t, guest), rnd))
		if rnd.IntN(4) > 0 {
			continue
		}
		if err := guest.Sync(); err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
		}
	}
	if err := guest.Sync(); err != nil {
		t.Fatal(err)
	}
	return fatguest.Read(t, guest), strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// differAt returns the first place where a disk is not what its shadow says; -1
// if there is none.
func differAt(t *testing.T, d *steady) int64 {
	t.Helper()
	const step = 1 << 16
	a, b := make([]byte, step), make([]byte, step)
	for off := int64(0); off < d.Size(); off += step {
		n := min(step, d.Size()-off)
		_, err := d.ReadAt(a[:n], off)
		if err == nil {
			_, err = d.shadow.ReadAt(b[:n], off)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return off
		}
	}
	return -1
}
