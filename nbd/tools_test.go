package nbd

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
)

// run runs a tool and returns its standard output. A tool that is missing
// skips the test, or fails it where CI is set.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is needed and not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}

// holes clears some ranges of a device.
func holes(m *memory) {
	n := len(m.data)
	clear(m.data[n/4 : n/2])
	clear(m.data[3*n/4 : 3*n/4+12345])
}

func TestNbdinfo(t *testing.T) {
	m := newMemory(8<<20, 1)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Description: "a disk", Device: m}, Export{Device: newMemory(512, 2), ReadOnly: true})
	var got struct {
		Exports []map[string]any
	}
	out := run(t, "nbdinfo", "--json", "--list", "nbd+unix:///?socket="+s.path)
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Exports) != 2 {
		t.Fatalf("%d exports: %s", len(got.Exports), out)
	}
	want := map[string]any{
		"export-name": "disk", "description": "a disk", "export-size": 8388608.0, "is_read_only": false,
		"can_multi_conn": true, "can_cache": true, "can_df": true, "can_fast_zero": true, "can_flush": true,
		"can_fua": true, "can_trim": true, "can_zero": true, "block_size_minimum": 1.0,
		"block_size_preferred": 4096.0, "block_size_maximum": 67108864.0,
	}
	for k, v := range want {
		if got.Exports[0][k] != v {
			t.Errorf("%s is %v, expected %v", k, got.Exports[0][k], v)
		}
	}
	if got.Exports[1]["is_read_only"] != true || got.Exports[1]["can_trim"] != false {
		t.Errorf("the read-only export: %v", got.Exports[1])
	}
}

func TestNbdcopyAndCompare(t *testing.T) {
	dir := t.TempDir()
	for _, cached := range []bool{true, false} {
		m := newMemory(48<<20+512, 3)
		m.cached = cached
		holes(m)
		s := serve(t, ServerOptions{}, Export{Device: m})
		img := filepath.Join(dir, "img")
		run(t, "nbdcopy", s.uri(""), img)
		got, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, m.data) {
			t.Fatal("nbdcopy read other bytes")
		}
		run(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", s.uri(""), img)
		run(t, "qemu-io", "-f", "raw", "-c", "read -v 1000 3000", s.uri(""))

		to := newMemory(len(m.data), 4)
		s2 := serve(t, ServerOptions{}, Export{Device: to})
		run(t, "nbdcopy", img, s2.uri(""))
		if !bytes.Equal(to.snapshot(), m.data) {
			t.Fatal("nbdcopy wrote other bytes")
		}
		to.WriteZeroes(0, to.Size(), 0)
		run(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", img, s2.uri(""))
		if !bytes.Equal(to.snapshot(), m.data) {
			t.Fatal("qemu-img convert wrote other bytes")
		}
	}
}

func TestNbdinfoMap(t *testing.T) {
	m := newMemory(8<<20, 5)
	clear(m.data[1<<20 : 3<<20])
	s := serve(t, ServerOptions{}, Export{Device: m})
	var got []struct {
		Offset, Length int64
		Type           int
	}
	if err := json.Unmarshal(run(t, "nbdinfo", "--json", "--map", s.uri("")), &got); err != nil {
		t.Fatal(err)
	}
	want := []block.Extent{{Off: 0, Len: 1 << 20}, {Off: 1 << 20, Len: 2 << 20, Flags: 3}, {Off: 3 << 20, Len: 5 << 20}}
	if len(got) != len(want) {
		t.Fatalf("%d extents: %v", len(got), got)
	}
	for i, w := range want {
		if g := got[i]; g.Offset != w.Off || g.Length != w.Len || g.Type != int(w.Flags) {
			t.Errorf("extent %d is %v, expected %v", i, g, w)
		}
	}
}
