package nbd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// newerVariable names a folder in which test/libnbd.sh has unpacked a libnbd
// that knows extended headers.
const newerVariable = "NBD_LIBNBD"

// newerLibnbd runs programs of a libnbd that knows extended headers: those in
// the folder, with its own loader and libraries, or those that are installed.
// Without either it skips the test.
func newerLibnbd(t *testing.T) func(program string, args ...string) []byte {
	t.Helper()
	dir := os.Getenv(newerVariable)
	if dir != "" {
		loaders, err := filepath.Glob(filepath.Join(dir, "usr/lib*/ld-linux*"))
		libraries, err2 := filepath.Glob(filepath.Join(dir, "usr/lib/*/libnbd.so.0"))
		if err != nil || err2 != nil || len(loaders) != 1 || len(libraries) != 1 {
			t.Fatalf("%s=%s: not what test/libnbd.sh makes", newerVariable, dir)
		}
		t.Setenv("PYTHONHOME", filepath.Join(dir, "usr"))
		t.Setenv("PYTHONPATH", filepath.Join(dir, "usr/lib/python3/dist-packages"))
		return func(program string, args ...string) []byte {
			start := []string{"--library-path", filepath.Dir(libraries[0]), filepath.Join(dir, "usr/bin", filepath.Base(program))}
			return run(t, loaders[0], append(start, args...)...)
		}
	}
	out, err := exec.Command("nbdinfo", "--version").Output()
	m := regexp.MustCompile(`^nbdinfo 1\.(\d+)`).FindSubmatch(out)
	if err != nil || m == nil {
		tools.Missing(t, fmt.Sprintf("an nbdinfo that says its version (%v)", err))
	}
	if minor, _ := strconv.Atoi(string(m[1])); minor < 22 {
		t.Skipf("%s knows no extended headers: test/libnbd.sh fetches a libnbd that does, for %s", m[0], newerVariable)
	}
	return func(program string, args ...string) []byte { return run(t, program, args...) }
}

// TestNewerLibnbd lets libnbd use extended headers.
func TestNewerLibnbd(t *testing.T) {
	tool := newerLibnbd(t)
	m := newMemory(80<<20, 84)
	clear(m.data[1<<20 : 30<<20])
	s := serve(t, ServerOptions{}, Export{Device: m})

	if info := tool("nbdinfo", s.uri("")); !bytes.Contains(info, []byte("extended packets")) {
		t.Errorf("extended headers were not negotiated:\n%s", info)
	}
	var extents []struct{ Offset, Length, Type int }
	if err := json.Unmarshal(tool("nbdinfo", "--json", "--map", s.uri("")), &extents); err != nil {
		t.Fatal(err)
	}
	if len(extents) != 3 || extents[1].Offset != 1<<20 || extents[1].Length != 29<<20 || extents[1].Type != 3 {
		t.Errorf("map: %v", extents)
	}

	img := filepath.Join(t.TempDir(), "img")
	tool("nbdcopy", s.uri(""), img)
	if got, err := os.ReadFile(img); err != nil || !bytes.Equal(got, m.data) {
		t.Errorf("nbdcopy read other bytes (%v)", err)
	}
	to := newMemory(len(m.data), 85)
	s2 := serve(t, ServerOptions{}, Export{Device: to})
	tool("nbdcopy", img, s2.uri(""))
	if !bytes.Equal(to.snapshot(), m.data) {
		t.Error("nbdcopy wrote other bytes")
	}

	operations := "20000"
	if testing.Short() {
		operations = "4000"
	}
	tool(newerPython(t), "testdata/flags.py", s.uri(""))
	tool(newerPython(t), "testdata/threads.py", s.uri(""))
	tool(newerPython(t), "testdata/parallel.py", s.uri(""), operations, "extended")
}

// newerPython is the Python whose bindings belong to the programs of
// newerLibnbd.
func newerPython(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(newerVariable)
	if dir == "" {
		needLibnbd(t)
		return python
	}
	p, err := filepath.EvalSymlinks(filepath.Join(dir, "usr/bin/python3"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
