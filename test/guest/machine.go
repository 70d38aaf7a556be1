// Package guest runs real guests on disks: OVMF, the UEFI firmware of EDK2,
// and a Linux kernel with vfat, both in QEMU under software emulation, so that
// no hardware support is needed.
//
// A [Machine] is a QEMU process with what its serial console prints and
// its monitor. [BootApp] is a UEFI application made of bytes, and [RunLinux]
// runs a shell script in a Linux guest and returns what it reports. The tests
// run each scenario on a control image of mkfs.fat and mtools as well: where
// the control fails, the harness is wrong and not fatkit.
//
// The kernel is Debian's, fetched and unpacked but not installed, and kept
// below bin/guest. Nothing here asserts a time; limits only end what hangs.
package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/tools"
)

// Patience with a guest; software emulation on a busy machine is slow.
const (
	waitPatience = 4 * time.Minute
	pollInterval = 20 * time.Millisecond
)

// Machine is a running QEMU.
type Machine struct {
	cmd   *exec.Cmd
	mon   string // path of the monitor's socket
	ended chan struct{}

	mu     sync.Mutex
	serial bytes.Buffer
	seen   int // bytes of serial that WaitFor has consumed
}

// Start starts a machine with the arguments of QEMU that a test adds to those
// that all share. It is killed at the end of the test.
func Start(t testing.TB, args ...string) *Machine {
	t.Helper()
	tools.Need(t, "qemu-system-x86_64")
	dir, err := os.MkdirTemp("", "fatkit-guest") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{mon: filepath.Join(dir, "qmp"), ended: make(chan struct{})}
	common := []string{
		"-accel", "tcg", "-machine", "q35", "-m", "256", "-nodefaults", "-no-user-config",
		"-display", "none", "-serial", "stdio", "-qmp", "unix:" + m.mon + ",server=on,wait=off",
	}
	m.cmd = exec.Command(tools.Lookup("qemu-system-x86_64"), append(common, args...)...)
	m.cmd.Stdout, m.cmd.Stderr = (*serialWriter)(m), (*serialWriter)(m)
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// The exit code says nothing that the serial console does not.
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill() // it may have ended by itself
		<-m.ended
		_ = os.RemoveAll(dir)
	})
	return m
}

// serialWriter collects what the guest and QEMU print.
type serialWriter Machine

func (w *serialWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.serial.Write(p)
}

// Serial returns all that the guest has printed.
func (m *Machine) Serial() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.serial.String()
}

// WaitFor waits until the guest prints text, after what an earlier WaitFor
// has found. It fails the test when the machine ends or takes far too long.
func (m *Machine) WaitFor(t testing.TB, text string) {
	t.Helper()
	deadline := time.Now().Add(waitPatience)
	for {
		ended := m.hasEnded()
		if m.consume(text) {
			return
		}
		if ended || time.Now().After(deadline) {
			t.Fatalf("the guest did not print %q (ended: %v); it printed:\n%s", text, ended, printable(m.Serial()))
		}
		time.Sleep(pollInterval)
	}
}

// consume looks for text in what was printed since the last time.
func (m *Machine) consume(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := bytes.Index(m.serial.Bytes()[m.seen:], []byte(text))
	if i < 0 {
		return false
	}
	m.seen += i + len(text)
	return true
}

func (m *Machine) hasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// WaitEnd waits until the guest has powered off.
func (m *Machine) WaitEnd(t testing.TB) {
	t.Helper()
	select {
	case <-m.ended:
	case <-time.After(waitPatience):
		t.Fatalf("the guest did not power off; it printed:\n%s", printable(m.Serial()))
	}
}

// Reset resets the machine, as its reset button would. QEMU keeps its
// connections to disks.
func (m *Machine) Reset(t testing.TB) {
	t.Helper()
	m.Monitor(t, "system_reset")
}

// Monitor runs a command of QEMU's monitor protocol without arguments.
func (m *Machine) Monitor(t testing.TB, command string) {
	t.Helper()
	conn, err := net.Dial("unix", m.mon)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(waitPatience)); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(conn)
	for _, c := range []string{"", "qmp_capabilities", command} {
		if c != "" {
			fmt.Fprintf(conn, `{"execute":%q}`+"\n", c)
		}
		if err := monitorReply(dec, c == ""); err != nil {
			t.Fatalf("monitor: %q: %v", c, err)
		}
	}
}

// monitorReply reads up to the greeting or the return of a command, past
// events.
func monitorReply(dec *json.Decoder, greeting bool) error {
	for {
		var r map[string]json.RawMessage
		if err := dec.Decode(&r); err != nil {
			return err
		}
		if e, ok := r["error"]; ok {
			return fmt.Errorf("%s", e)
		}
		_, done := r["return"]
		if _, hello := r["QMP"]; done || hello && greeting {
			return nil
		}
	}
}

// printable removes the control sequences of a firmware's console.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\x1b' || r == '\r' {
			return -1
		}
		return r
	}, s)
}
