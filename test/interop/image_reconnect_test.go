//go:build unix

package interop

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// reconnectPatience ends the wait for a client that does not come back. QEMU
// tries for as long.
const reconnectPatience = time.Minute

// reconnecting names a socket to QEMU such that it comes back after the loss
// of its connection, and keeps its requests until then.
func reconnecting(socket string) string {
	return fmt.Sprintf("driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=%s,file.reconnect-delay=%d",
		socket, int(reconnectPatience.Seconds()))
}

// restartable is a server of an image at a socket that stays the same.
type restartable struct {
	dir, socket, img string
	now              *product.Server
}

func newRestartable(t *testing.T, img string) *restartable {
	t.Helper()
	dir, err := os.MkdirTemp("", "fk") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	r := &restartable{dir: dir, socket: filepath.Join(dir, "s"), img: img}
	r.start(t)
	t.Cleanup(func() {
		if r.now != nil {
			if err := r.now.Stop(); err != nil {
				t.Errorf("fatkit serve ended with %v\n%s", err, r.now.Log())
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *restartable) start(t *testing.T) {
	t.Helper()
	s, err := product.StartServer(r.socket, []string{"XDG_RUNTIME_DIR=" + r.dir}, product.Binary(t),
		"serve", "--rw", "--listen", "unix:"+r.socket, r.img)
	if err != nil {
		t.Fatal(err)
	}
	r.now = s
}

// end ends the server by a signal and waits until it is gone.
func (r *restartable) end(t *testing.T, by syscall.Signal) {
	t.Helper()
	s := r.now
	r.now = nil
	if by != syscall.SIGTERM {
		if err := syscall.Kill(s.PID, by); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Stop()
	if (err == nil) != (by == syscall.SIGTERM) {
		t.Errorf("fatkit serve ended with %v after %v\n%s", err, by, s.Log())
	}
}

// dialogue is a qemu-io that takes commands one by one.
type dialogue struct {
	in  io.WriteCloser
	cmd *exec.Cmd
	out product.Log // what qemu-io prints
}

const qemuPrompt = "qemu-io> "

func newDialogue(t *testing.T, options string) *dialogue {
	t.Helper()
	d := &dialogue{cmd: exec.Command(tools.Lookup("qemu-io"), "--image-opts", options)}
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.in = in
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it may have ended
		_ = d.cmd.Wait()
	})
	d.prompts(t, 1)
	return d
}

// prompts waits until qemu-io has asked for a command so many times.
func (d *dialogue) prompts(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * reconnectPatience); strings.Count(d.out.String(), qemuPrompt) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("qemu-io does not answer:\n%s", d.out.String())
		}
	}
}

// do gives a command and waits for the next prompt.
func (d *dialogue) do(t *testing.T, command string) {
	t.Helper()
	n := strings.Count(d.out.String(), qemuPrompt)
	if _, err := io.WriteString(d.in, command+"\n"); err != nil {
		t.Fatal(err)
	}
	d.prompts(t, n+1)
}

// TestImageReconnect ends the server while QEMU is attached, in order or not,
// with requests under way that were never answered, and starts it again: QEMU
// carries on as if nothing had happened.
func TestImageReconnect(t *testing.T) {
	tools.Need(t, "qemu-io")
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(by.String(), func(t *testing.T) {
			img, shadow := rawImage(t, 9)
			r := newRestartable(t, img)
			d := newDialogue(t, reconnecting(r.socket))
			write := func(verb string, fill byte, off, n int) {
				d.do(t, fmt.Sprintf("%s -P %d %d %d", verb, fill, off, n))
				copy(shadow[off:], bytes.Repeat([]byte{fill}, n))
			}
			write("write", 0x21, 0, 1<<20)
			if by == syscall.SIGKILL {
				// What a stopped process is asked stays unanswered.
				if err := syscall.Kill(r.now.PID, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				write("aio_write", 0x22, 2<<20, 64<<10)
				write("aio_write", 0x23, 3<<20, 64<<10)
			}
			r.end(t, by)
			write("aio_write", 0x24, 4<<20, 64<<10)
			write("aio_write", 0x25, 5<<20, 64<<10)
			r.start(t)
			d.do(t, "aio_flush")
			d.do(t, "flush")
			d.do(t, fmt.Sprintf("read -P %d %d %d", 0x21, 0, 1<<20))
			d.do(t, fmt.Sprintf("read -P %d %d %d", 0x25, 5<<20, 64<<10))
			checkImage(t, img, shadow)
			if out := d.out.String(); strings.Contains(out, "failed") || strings.Contains(out, "rror") {
				t.Errorf("qemu-io:\n%s", out)
			}
		})
	}
}

// TestImageReconnectUnderLoad restarts the server under qemu-img bench, which
// ends with an error as soon as one of its requests fails.
func TestImageReconnectUnderLoad(t *testing.T) {
	tools.Need(t, "qemu-img")
	const size, fill = 4 << 20, 0x5e
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(by.String(), func(t *testing.T) {
			img := emptyImage(t, size)
			r := newRestartable(t, img)
			var log bytes.Buffer
			// More requests than it will ever get to: it begins again at the end.
			cmd := exec.Command(tools.Lookup("qemu-img"), "bench", "-w", fmt.Sprintf("--pattern=%d", fill), "-s", "4096",
				"-c", "2000000000", "-d", "16", "--image-opts", reconnecting(r.socket))
			cmd.Stdout, cmd.Stderr = &log, &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			defer func() {
				_ = cmd.Process.Kill() // it may have ended
				<-ended
			}()
			full := func() {
				t.Helper()
				waitForFill(t, img, bytes.Repeat([]byte{fill}, size), ended, &log)
			}
			full()
			for range 3 {
				r.end(t, by)
				if err := os.WriteFile(img, make([]byte, size), 0o644); err != nil {
					t.Fatal(err)
				}
				r.start(t)
				full()
			}
		})
	}
}

// waitForFill waits until a client that is still running has written the whole
// image.
func waitForFill(t *testing.T, img string, want []byte, ended chan error, log fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(2 * reconnectPatience); ; time.Sleep(5 * time.Millisecond) {
		got, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(got, want) {
			return
		}
		select {
		case err := <-ended:
			ended <- err // for the caller
			t.Fatalf("qemu-img bench ended with %v\n%s", err, log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("qemu-img bench does not come back")
		}
	}
}
