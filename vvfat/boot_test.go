package vvfat

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/test/tools"
)

// bootTo starts a PC from the disk, without acceleration, and returns when its
// serial line or debug console has shown the text want.
func bootTo(t *testing.T, d *Disk, want string) {
	t.Helper()
	tools.Need(t, "qemu-system-x86_64")
	image := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	extents, err := d.AppendExtents(nil, 0, d.Size())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range extents {
		if e.Flags != 0 {
			continue
		}
		p := make([]byte, e.Len)
		if _, err := d.ReadAt(p, e.Off); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(p, e.Off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(d.Size()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	seen := &watcher{want: want, found: cancel}
	cmd := exec.CommandContext(ctx, tools.Lookup("qemu-system-x86_64"), "-accel", "tcg", "-m", "32", "-nographic", "-monitor", "none",
		"-net", "none", "-debugcon", "file:/dev/stderr", "-drive", "file="+image+",format=raw,if=ide")
	cmd.Stdout, cmd.Stderr = seen, seen
	if err := cmd.Run(); !seen.done {
		t.Errorf("no %q: %v\n%s", want, err, seen.text.String())
	}
}

// watcher is a writer that waits for a text.
type watcher struct {
	text  bytes.Buffer
	want  string
	found func()
	done  bool
}

func (w *watcher) Write(p []byte) (int, error) {
	w.text.Write(p)
	if !w.done && strings.Contains(w.text.String(), w.want) {
		w.done = true
		w.found()
	}
	return len(p), nil
}

// helloCode writes "HELLO" to port E9h and stops.
var helloCode = func() []byte {
	var code []byte
	for _, c := range []byte("HELLO") {
		code = append(code, 0xB0, c, 0xE6, 0xE9) // mov al,c; out 0xe9,al
	}
	return append(code, 0xF4, 0xEB, 0xFD) // hlt; jmp $-1
}()

// helloSector is a boot sector that runs helloCode.
func helloSector() []byte {
	p := make([]byte, 512)
	copy(p, []byte{0xEB, 0x58, 0x90, 'H', 'E', 'L', 'L', 'O', 'D', 'O', 'S'})
	copy(p[0x5A:], helloCode)
	p[510], p[511] = 0x55, 0xAA
	return p
}

func TestBootMessage(t *testing.T) {
	tree, _ := mustScan(t, hostTree(t, "a"), ScanOptions{})
	for _, o := range []Options{{Table: TableMBR}, {Table: TableNone, FAT: 32}, {Table: TableGPT}} {
		bootTo(t, newDisk(t, tree, o, DiskOptions{}), "This disk cannot be booted")
	}
}

func TestBootSectorRuns(t *testing.T) {
	tree, _ := mustScan(t, hostTree(t, "a"), ScanOptions{})
	for _, fat := range []int{16, 32} {
		d := newDisk(t, tree, Options{FAT: fat, BootSector: helloSector()}, DiskOptions{})
		judge(t, d)
		bootTo(t, d, "HELLO")
		p := make([]byte, 512)
		if _, err := d.ReadAt(p, d.l.volume); err != nil {
			t.Fatal(err)
		}
		if oem := string(p[3:11]); oem != "HELLODOS" {
			t.Errorf("OEM name is %q", oem)
		}
	}
	d := newDisk(t, tree, Options{BootSector: helloSector(), OEM: "OTHER"}, DiskOptions{})
	p := make([]byte, 512)
	d.ReadAt(p, d.l.volume)
	if b, err := fatfmt.DecodeBootSector(p); err != nil || string(b.OEM[:]) != "OTHER   " {
		t.Errorf("OEM name is %q, %v", b.OEM, err)
	}
}

func TestBootFilesOfWrongSize(t *testing.T) {
	tree, _ := mustScan(t, hostTree(t, "a"), ScanOptions{})
	for _, o := range []Options{
		{BootSector: make([]byte, 100)},
		{BootSector: make([]byte, 1024), FAT: 16},
		{BootSector: make([]byte, 512*32), FAT: 32},
		{MBR: make([]byte, 441)},
		{MBR: make([]byte, 513)},
		{MBR: make([]byte, 440), Table: TableGPT},
		{MBR: make([]byte, 440), Table: TableNone},
	} {
		var oe *OptionError
		if _, err := NewLayout(tree, o); !errors.As(err, &oe) {
			t.Errorf("boot sector %d, MBR %d: %v", len(o.BootSector), len(o.MBR), err)
		}
	}
	// A whole MBR is code and a table of its own, which ours replaces.
	whole := bytes.Repeat([]byte{0x90}, 512)
	d := newDisk(t, tree, Options{MBR: whole}, DiskOptions{})
	judge(t, d)
	p := make([]byte, 512)
	d.ReadAt(p, 0)
	if !bytes.Equal(p[:440], whole[:440]) || bytes.Equal(p[440:], whole[440:]) {
		t.Error("the MBR is not code of the file and table of ours")
	}
}
