//go:build linux

package live

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
)

// guestOf mounts the disk of a generation.
func guestOf(t *testing.T, g *stack.Generation) *fat.Volume {
	t.Helper()
	off := g.Facts.VolumeOffset
	section, err := block.NewSection(g.Device, off, g.Device.Size()-off, block.SectionOptions{})
	must(t, err)
	v, err := fat.Open(section, fat.Options{WriteBack: -1})
	must(t, err)
	return v
}

// Attributes that a guest sets are there in the next generation, with those that
// another program has set on the host.
func TestAttributesLast(t *testing.T) {
	b := newBench(t)
	full := func(name string) string { return filepath.Join(b.dir, name) }
	if err := unix.Setxattr(b.dir, "user.fatkit.test", []byte("x"), 0); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("%s has no extended attributes", b.dir)
	}
	must(t, os.MkdirAll(full("dir/sub"), 0o755))
	must(t, os.WriteFile(full(".dot"), nil, 0o644))
	must(t, os.WriteFile(full("theirs"), nil, 0o644))
	must(t, unix.Setxattr(full("theirs"), hostfs.DOSAttribute, []byte("0x26"), 0))
	want := map[string]vfs.Attr{
		"file": vfs.AttrHidden, "dir": vfs.AttrSystem, "dir/sub": vfs.AttrArchive | vfs.AttrHidden,
		".dot": vfs.AttrArchive, "theirs": vfs.AttrHidden | vfs.AttrSystem | vfs.AttrArchive, "new": vfs.AttrHidden | vfs.AttrArchive,
	}
	const all = vfs.AttrHidden | vfs.AttrSystem | vfs.AttrArchive
	_, g := b.mustServe(t, Options{})
	v := guestOf(t, g)
	must(t, vfs.WriteFile(v, "new", []byte("x"), 0o666))
	for name, attr := range want {
		must(t, v.SetAttr(name, attr&all, all&^attr))
	}
	must(t, v.Close())
	must(t, g.Close())
	_, g = b.mustServe(t, Options{})
	if g.Facts.Files != 4 {
		t.Fatalf("the disk was not made anew: %d files", g.Facts.Files)
	}
	v = guestOf(t, g)
	for name, attr := range want {
		if got, err := v.Attr(name); err != nil || got != attr {
			t.Errorf("%s: %v, %v; want %v", name, got, err, attr)
		}
	}
	must(t, v.Close())
	must(t, g.Close())
}
