package writeback_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/vfs"
)

var fixture = map[string]string{
	"a.txt": "first", "b.txt": strings.Repeat("second", 1000), "Long Name.text": "third",
	"d/x": "x", "d/y": strings.Repeat("y", 70000), "d/e/deep.bin": strings.Repeat("deep", 5000), "empty": "", "d2/": "",
}

func TestBasics(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			r := newRig(t, typ, fixture)
			r.same()
			step := func(name string, do func() error) {
				t.Helper()
				if err := do(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				r.sync()
				r.same()
			}
			step("create", func() error { return vfs.WriteFile(r.guest, "new.txt", []byte("hello"), 0o666) })
			step("overwrite", func() error { return vfs.WriteFile(r.guest, "a.txt", []byte("FIRST and more"), 0o666) })
			step("rename", func() error { return r.guest.Rename("b.txt", "d/bb.txt") })
			step("rename dir", func() error { return r.guest.Rename("d", "dd") })
			step("mkdir", func() error { return r.guest.MkdirAll("n/m", 0o777) })
			step("create in", func() error { return vfs.WriteFile(r.guest, "n/m/f", []byte(strings.Repeat("f", 100000)), 0o666) })
			step("move in", func() error { return r.guest.Rename("dd/e/deep.bin", "n/deep") })
			step("append", func() error { return vfs.WriteFile(r.guest, "n/m/f", []byte(strings.Repeat("f", 100100)), 0o666) })
			step("remove", func() error { return r.guest.Remove("empty") })
			step("removeall", func() error { return r.guest.RemoveAll("dd") })
			r.restart()
			r.same()
			step("after restart", func() error { return vfs.WriteFile(r.guest, "a.txt", []byte("again"), 0o666) })
		})
	}
}
