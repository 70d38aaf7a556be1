package writeback_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
)

// TestRootGrows lets the root directory of FAT32 grow by several clusters, and
// then changes entries in these that no FAT tells of, also after the server was
// killed or restarted.
func TestRootGrows(t *testing.T) {
	for how, again := range map[string]func(w *world){
		"in one server": func(*world) {},
		"killed":        (*world).kill,
		"power cut":     func(w *world) { w.cut(3) },
		"restarted":     func(w *world) { w.must(errors.Join(w.s.Close(w.t.Context()), w.open())) },
	} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, 32, lowerFixture)
			w.must(w.open())
			w.mount()
			name := func(i int) string { return fmt.Sprintf("a file with a long name, number %d", i) }
			for i := range 40 {
				w.must(vfs.WriteFile(w.guest, name(i), fmt.Appendf(nil, "file %d", i), 0o666))
			}
			w.must(w.guest.Sync())
			w.must(w.s.Sync(t.Context()))
			w.same("the root has grown")
			for _, step := range []func(g *fat.Volume) error{
				func(g *fat.Volume) error { return g.Rename(name(39), name(41)) },
				func(g *fat.Volume) error { return fatguest.Patch(g, name(38), []byte(" and more"), 7) },
				func(g *fat.Volume) error { return g.Rename(name(37), "d/"+name(37)) },
				func(g *fat.Volume) error { return g.Remove(name(36)) },
				func(g *fat.Volume) error { return vfs.WriteFile(g, name(36), nil, 0o666) },
			} {
				again(w)
				w.mount()
				w.must(errors.Join(step(w.guest), w.guest.Sync()))
				w.must(w.s.Sync(t.Context()))
				w.same(how)
			}
			w.must(w.s.Close(t.Context()))
		})
	}
}
