package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/stack"
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
	w := imageWriter{format: stack.FormatRaw, c: &creation{sizeBytes: -1}, force: true}
	if err := w.put(t.Context(), dev, src); err != nil {
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
	if err := w.put(t.Context(), dev, mem.New(size+behind+512)); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("a disk that is too large: %v", err)
	}
	claimed, err := os.OpenFile(dev, os.O_RDWR|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer claimed.Close()
	if err := w.put(t.Context(), dev, src); err == nil {
		t.Error("a device that somebody has claimed was overwritten")
	}
	if err := checkTarget(dev, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("without --force: %v", err)
	}
}

// A qcow2 image is put on a block device, which keeps its size and what is on
// it behind the image.
func TestQcow2OnDevice(t *testing.T) {
	dev := loopDevice(t, 4<<20, 0xAA)
	src := mem.New(1 << 20)
	if _, err := src.WriteAt([]byte("the disk"), 300<<10); err != nil {
		t.Fatal(err)
	}
	w := imageWriter{format: stack.FormatQcow2, c: &creation{sizeBytes: -1}, force: true}
	if err := w.put(t.Context(), dev, src); err != nil {
		t.Fatal(err)
	}
	img, _, err := stack.OpenDisk(t.Context(), dev, stack.DiskOptions{Format: stack.FormatQcow2, Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 8)
	if err := block.ReadFull(img, p, 300<<10); err != nil || string(p) != "the disk" || img.Size() != 1<<20 {
		t.Errorf("%q, %d bytes, %v", p, img.Size(), err)
	}
	if err := block.ReadFull(img, p, 600<<10); err != nil || string(p) != string(make([]byte, 8)) {
		t.Errorf("%q, %v", p, err)
	}
	if _, err := img.WriteAt([]byte("more"), 900<<10); err != nil {
		t.Error(err)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	if err := w.put(t.Context(), dev, mem.FromBytes(bytes.Repeat([]byte{1}, 4<<20))); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("a disk that is too large: %v", err)
	}
}
