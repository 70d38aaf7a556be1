package nbd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block/mem"
)

func TestFioVerify(t *testing.T) {
	s := serve(t, ServerOptions{}, Export{Device: mem.New(32 << 20)})
	for _, rw := range []string{"randwrite", "write", "randrw"} {
		run(t, "fio", "--name=v", "--ioengine=nbd", "--uri="+s.uri(""), "--rw="+rw, "--bs=4k-64k", "--bs_unaligned",
			"--iodepth=32", "--size=16M", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0", "--thread=0",
			"--output="+filepath.Join(t.TempDir(), "out"))
	}
}

func TestQemuIO(t *testing.T) {
	m := newMemory(8<<20, 91)
	s := serve(t, ServerOptions{}, Export{Device: m})
	run(t, "qemu-io", "-f", "raw",
		"-c", "write -P 0x5a 1000 100000", "-c", "read -P 0x5a 1000 100000",
		"-c", "write -f -P 0x5b 1M 1M", "-c", "write -z -u 2M 1M", "-c", "read -P 0 2M 1M",
		"-c", "discard 3M 1M", "-c", "aio_write -P 0x5c 4M 2M", "-c", "aio_flush", "-c", "flush", "-c", "read -P 0x5c 4M 2M",
		"-c", "map", s.uri(""))
	if got := m.snapshot(); !bytes.Equal(got[1000:101000], bytes.Repeat([]byte{0x5a}, 100000)) {
		t.Error("qemu-io wrote other bytes")
	}
	run(t, "qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "32", "-s", "4k", s.uri(""))
	run(t, "qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "32", "-s", "64k", "-w", "--flush-interval=100", s.uri(""))
	run(t, "nbdinfo", "--map", "--totals", s.uri(""))
}

// TestNbdfuse mounts an export as a file and copies it with plain reads.
func TestNbdfuse(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("this machine has no FUSE")
	}
	path, err := exec.LookPath("nbdfuse")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("nbdfuse is needed and not installed")
		}
		t.Skip("nbdfuse is not installed")
	}
	m := newMemory(4<<20, 92)
	s := serve(t, ServerOptions{}, Export{Device: m})
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, file, s.uri(""))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		if exec.Command("fusermount3", "-u", file).Run() != nil {
			exec.Command("umount", file).Run()
		}
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-exited
		}
	})
	for range 500 {
		if i, err := os.Stat(file); err == nil && i.Size() == int64(len(m.data)) {
			break
		}
		select {
		case err := <-exited:
			exited <- err
			t.Skipf("nbdfuse cannot mount here: %v: %s", err, &stderr)
		case <-time.After(10 * time.Millisecond):
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, m.data) {
		t.Error("nbdfuse read other bytes")
	}
}
