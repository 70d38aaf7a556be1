package interop

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/vfs"
)

// sectorBytes is what a guest writes at least.
const sectorBytes = 512

// region says what a sector of a volume belongs to.
type region int

const (
	boot region = iota // boot sectors, FSInfo
	fat1
	fat2
	folder // a directory
	data
)

// sector is one that a guest has written.
type sector struct {
	off    int64 // on the disk
	region region
	bytes  []byte
}

// step is what a guest writes until it must have been written.
type step struct {
	sectors []sector
	whole   bool // in one request, in whatever order the others are written
}

// desk is a guest at work on a copy in memory of a served disk: the project's FAT
// engine, and edits of sectors. What it writes is cut into steps.
type desk struct {
	t       *testing.T
	disk    *mem.Device
	volume  block.Device // the part of disk with the file system, which notes what is written
	off     int64        // of the volume on the disk
	v       *fat.Volume
	info    fat.Info
	clock   time.Time
	written map[int64]bool // sectors since the last step, by their offset on the disk
	folders map[int64]bool // sectors that are those of a directory, or were
	oneFAT  []byte         // what the second FAT holds, for a guest that never writes to it
	steps   []step
}

// noted is a device that notes which sectors are written.
type noted struct {
	block.Device
	off     int64
	written map[int64]bool
}

func (d noted) WriteAt(p []byte, off int64) (int, error) {
	for at := off &^ (sectorBytes - 1); at < off+int64(len(p)); at += sectorBytes {
		d.written[d.off+at] = true
	}
	return d.Device.WriteAt(p, off)
}

// Close leaves the disk open: the engine closes it with the volume.
func (noted) Close() error { return nil }

// newDesk begins work on a copy of a disk.
func newDesk(t *testing.T, disk *mem.Device) *desk {
	t.Helper()
	g := &desk{t: t, disk: disk, clock: time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC), written: map[int64]bool{}, folders: map[int64]bool{}}
	tree, err := fatread.Read(disk, disk.Size(), fatread.Options{DecodeShort: decode437, SkipContents: true})
	g.must(err)
	off, length := volumeOffset(tree.Disk)
	section, err := block.NewSection(disk, off, length, block.SectionOptions{})
	g.must(err)
	g.off, g.volume = off, noted{section, off, g.written}
	g.mount()
	g.findFolders()
	return g
}

func (g *desk) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// mount opens the volume, also after its sectors were edited.
func (g *desk) mount() {
	g.t.Helper()
	var err error
	g.v, err = fat.Open(g.volume, fat.Options{WriteBack: -1, Location: time.UTC, Now: g.now})
	g.must(err)
	g.info, err = g.v.Info()
	g.must(err)
}

func (g *desk) now() time.Time {
	g.clock = g.clock.Add(20 * time.Millisecond)
	return g.clock
}

// write makes a file, with the directories above it.
func (g *desk) write(name string, p []byte) {
	g.t.Helper()
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		g.must(g.v.MkdirAll(name[:i], 0o777))
	}
	g.must(vfs.WriteFile(g.v, name, p, 0o666))
}

func (g *desk) rename(from, to string) {
	g.t.Helper()
	g.must(g.v.Rename(from, to))
}

// findFolders adds the sectors of the directories that are there.
func (g *desk) findFolders() {
	g.t.Helper()
	g.must(vfs.Walk(g.t.Context(), g.v, ".", func(name string, fi fs.FileInfo, err error) error {
		if err != nil || !fi.IsDir() {
			return err
		}
		for off := range g.sectorsOf(name) {
			g.folders[off] = true
		}
		return nil
	}))
}

// sectorsOf returns the sectors of a file or directory, by their offsets on the
// disk.
func (g *desk) sectorsOf(name string) map[int64]bool {
	g.t.Helper()
	out := map[int64]bool{}
	extents, err := g.v.Extents(name)
	g.must(err)
	for _, e := range extents {
		for at := e.Offset; at < e.Offset+e.Len; at += sectorBytes {
			out[g.off+at] = true
		}
	}
	return out
}

// regionOf says what a sector of the disk belongs to.
func (g *desk) regionOf(off int64) region {
	n := (off - g.off) / sectorBytes
	first, length := int64(g.info.ReservedSectors), int64(g.info.FATSectors)
	switch {
	case n < first:
		return boot
	case n < first+length:
		return fat1
	case n < first+length*int64(g.info.FATs):
		return fat2
	case g.folders[off]:
		return folder
	}
	return data
}

// finish unmounts the volume. A guest that leaves it dirty is one that did not.
func (g *desk) finish(dirty bool) {
	g.t.Helper()
	g.step()
	if !dirty {
		g.must(g.v.Close())
		g.mount()
		g.mark(true)
		g.step()
	}
}

// step ends a step: all that was written since the one before.
func (g *desk) step() { g.take(func(int64) bool { return true }, false) }

// first makes a step of what was written to one directory, before the rest.
func (g *desk) first(dir string) {
	g.t.Helper()
	g.must(g.v.Sync())
	in := g.sectorsOf(dir)
	g.take(func(off int64) bool { return in[off] }, false)
}

// take makes a step of the written sectors that which chooses.
func (g *desk) take(which func(off int64) bool, whole bool) {
	g.t.Helper()
	g.must(g.v.Sync())
	g.findFolders()
	s := step{whole: whole}
	for off := range g.written {
		if !which(off) {
			continue
		}
		delete(g.written, off)
		p := make([]byte, sectorBytes)
		if g.regionOf(off) == fat2 && g.oneFAT != nil {
			at := off - g.off - g.fatOffset(1)
			_, err := g.disk.WriteAt(g.oneFAT[at:at+sectorBytes], off)
			g.must(err)
			continue
		}
		_, err := g.disk.ReadAt(p, off)
		g.must(err)
		s.sectors = append(s.sectors, sector{off, g.regionOf(off), p})
	}
	if len(s.sectors) == 0 {
		return
	}
	slices.SortFunc(s.sectors, func(a, b sector) int { return int(a.off - b.off) })
	g.steps = append(g.steps, s)
}

// fatOffset returns where a FAT begins on the volume.
func (g *desk) fatOffset(n int) int64 {
	return (int64(g.info.ReservedSectors) + int64(n)*int64(g.info.FATSectors)) * sectorBytes
}

// onlyFirstFAT makes the guest one that never writes to the second FAT.
func (g *desk) onlyFirstFAT() {
	g.t.Helper()
	g.oneFAT = make([]byte, int64(g.info.FATSectors)*sectorBytes)
	_, err := g.volume.ReadAt(g.oneFAT, g.fatOffset(1))
	g.must(err)
}

// edit changes bytes of the volume behind the back of the engine.
func (g *desk) edit(off int64, n int, do func(p []byte)) {
	g.t.Helper()
	g.must(g.v.Sync())
	p := make([]byte, n)
	_, err := g.volume.ReadAt(p, off)
	g.must(err)
	do(p)
	_, err = g.volume.WriteAt(p, off)
	g.must(err)
	g.mount()
}

// slot returns where the short entry of a file lies on the volume; short is its
// name as the medium has it, in eleven characters.
func (g *desk) slot(dir, short string) int64 {
	g.t.Helper()
	g.must(g.v.Sync())
	extents, err := g.v.Extents(dir)
	g.must(err)
	for _, e := range extents {
		p := make([]byte, e.Len)
		_, err := g.volume.ReadAt(p, e.Offset)
		g.must(err)
		for at := int64(0); at < e.Len; at += 32 {
			if string(p[at:at+11]) == short && p[at+11]&0x08 == 0 {
				return e.Offset + at
			}
		}
	}
	g.t.Fatalf("no entry %q in %s", short, dir)
	return 0
}

// setSize gives a file another size in its entry alone.
func (g *desk) setSize(dir, short string, size uint32) {
	g.t.Helper()
	g.edit(g.slot(dir, short), 32, func(p []byte) { binary.LittleEndian.PutUint32(p[28:], size) })
}

// strike marks the entry of a file as deleted, and leaves its chain.
func (g *desk) strike(dir, short string) {
	g.t.Helper()
	g.edit(g.slot(dir, short), 32, func(p []byte) { p[0] = 0xE5 })
}

// mark says in boot sector and FATs whether the volume is clean, as Windows
// and Linux do (FAT32 File System Specification 1.03, section 4, FAT[1]; the
// state byte is that of Windows NT). FAT12 has no such bit in its FAT.
func (g *desk) mark(clean bool) {
	g.t.Helper()
	state, bit, at := int64(0x25), byte(0x80), int64(3)
	switch g.info.Type {
	case 32:
		state, bit, at = 0x41, 0x08, 7
	case 12:
		bit = 0
	}
	g.edit(state, 1, func(p []byte) {
		if p[0] &^= 1; !clean {
			p[0] |= 1
		}
	})
	for n := range g.info.FATs {
		g.edit(g.fatOffset(n)+at, 1, func(p []byte) {
			if p[0] |= bit; !clean {
				p[0] &^= bit
			}
		})
	}
}

// pattern is n bytes that no other seed gives.
func pattern(seed byte, n int) []byte {
	p := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

// isZero tells whether p is all zeroes.
func isZero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }
