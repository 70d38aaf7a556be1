package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
)

// loopDevice returns a block device of size bytes that holds fill everywhere.
// Only root can make one.
func loopDevice(t *testing.T, size int, fill byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(path, bytes.Repeat([]byte{fill}, size), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", path).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device is to be had here: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v: %s", dev, err, out)
		}
	})
	return dev
}

// A block device is overwritten from its beginning, in whole or not at all, and
// what lies behind stays.
func TestOverwriteDevice(t *testing.T) {
	const size, behind = 1 << 20, 64 << 10
	dev := loopDevice(t, size+behind, 0xAA)
	src := mem.New(size)
	if _, err := src.WriteAt([]byte("the disk"), 300<<10); err != nil {
		t.Fatal(err)
	}
	bar := newProgressBar(io.Discard, "", true)
	if err := overwriteDevice(context.Background(), dev, src, bar); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dev)
	if err != nil {
		t.Fatal(err)
	}
	want := append(make([]byte, size), bytes.Repeat([]byte{0xAA}, behind)...)
	copy(want[300<<10:], "the disk")
	if !bytes.Equal(got, want) {
		t.Error("the device does not hold the disk and what was behind it")
	}
	if err := overwriteDevice(context.Background(), dev, mem.New(size+behind+512), bar); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("a disk that is too large: %v", err)
	}
	claimed, err := os.OpenFile(dev, os.O_RDWR|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer claimed.Close()
	if err := overwriteDevice(context.Background(), dev, src, bar); err == nil {
		t.Error("a device that somebody has claimed was overwritten")
	}
	if err := checkTarget(dev, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("without --force: %v", err)
	}
}
