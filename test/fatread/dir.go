package fatread

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// dirWalk is the state of reading one directory.
type dirWalk struct {
	rd     *reader
	path   string // of the directory; "" for the root
	self   uint32 // its first cluster; 0 for the root
	parent uint32 // what its ".." must hold
	slot   int
	long   *longName
	seen   map[string]string // folded long and short names to the entry that has them
	subs   []*Entry
}

// show names the directory in problems.
func (d *dirWalk) show() string { return "/" + d.path }

// walk reads the tree from the root down.
func (rd *reader) walk() error {
	root := &dirWalk{rd: rd}
	slots, err := rd.rootSlots()
	if err != nil {
		return err
	}
	return rd.walkDir(root, slots, 0)
}

// rootSlots returns the bytes of the root directory.
func (rd *reader) rootSlots() ([]byte, error) {
	if rd.v.Type == 32 {
		return rd.dirSlots(rd.v.RootCluster, "/")
	}
	p := make([]byte, rd.v.RootEntries*32)
	return p, readFull(rd.vol, p, rd.v.rootOffset)
}

// dirSlots returns the bytes of a directory that starts at a cluster.
func (rd *reader) dirSlots(first uint32, path string) ([]byte, error) {
	clusters := rd.chain(first, path)
	n := int64(len(clusters)) * rd.v.ClusterBytes
	if n > maxDirSlots*32 {
		rd.problem("%s: directory of %d bytes, more than %d slots", path, n, maxDirSlots)
		n = maxDirSlots * 32
	}
	return io.ReadAll(rd.readRuns(rd.runs(clusters), n))
}

// walkDir reads a directory, then those in it.
func (rd *reader) walkDir(d *dirWalk, slots []byte, depth int) error {
	if depth > maxDepth {
		rd.problem("%s: deeper than %d", d.show(), maxDepth)
		return nil
	}
	d.seen = map[string]string{}
	if err := d.read(slots); err != nil {
		return err
	}
	for _, e := range d.subs {
		sub := &dirWalk{rd: rd, path: e.Path, self: e.first, parent: d.self}
		p, err := rd.dirSlots(e.first, "/"+e.Path)
		if err != nil {
			return err
		}
		if err := rd.walkDir(sub, p, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// read goes through the slots of the directory (FAT section 6).
func (d *dirWalk) read(slots []byte) error {
	ended, dots := false, 0
	for d.slot = 0; d.slot < len(slots)/32; d.slot++ {
		p := slots[d.slot*32:][:32]
		switch {
		case p[0] == 0:
			ended = true
			d.orphaned()
			continue
		case ended:
			d.rd.problem("%s: slot %d is in use after the end of the directory", d.show(), d.slot)
			return nil
		case p[0] == 0xE5:
			d.orphaned()
		case p[11]&attrLongMask == attrLongName: // before the label bit, which it includes
			d.addLong(p)
		case p[11]&AttrVolumeID != 0:
			d.addLabel(p)
		case p[0] == '.' && d.self != 0 && d.slot < 2:
			d.checkDot(p)
			dots++
		default:
			if err := d.addEntry(p); err != nil {
				return err
			}
		}
	}
	d.orphaned()
	if d.self != 0 && dots != 2 {
		d.rd.problem("%s: %d dot entries", d.show(), dots)
	}
	return nil
}

// addLabel takes the volume label, of which there is one, in the root.
func (d *dirWalk) addLabel(p []byte) {
	v := &d.rd.v
	d.orphaned()
	label := trimSpaces(p[:11])
	switch {
	case d.path != "":
		d.rd.problem("%s: volume label %q outside of the root", d.show(), label)
		return
	case v.Label != "":
		d.rd.problem("second volume label %q", label)
	case v.BootLabel != label:
		d.rd.problem("volume label %q, but %q in the boot sector", label, v.BootLabel)
	}
	if slotCluster(p) != 0 || binary.LittleEndian.Uint32(p[28:]) != 0 {
		d.rd.problem("volume label has a cluster or a size")
	}
	v.Label = label
}

// checkDot checks "." and "..", which come first and lead to the directory
// itself and to its parent, 0 for the root (FAT section 6.5).
func (d *dirWalk) checkDot(p []byte) {
	name, want := ".          ", d.self
	if d.slot == 1 {
		name, want = "..         ", d.parent
	}
	if string(p[:11]) != name || p[11]&AttrDirectory == 0 || slotCluster(p) != want || binary.LittleEndian.Uint32(p[28:]) != 0 {
		d.rd.problem("%s: slot %d is %q with attributes %#x and cluster %d, not %q with cluster %d",
			d.show(), d.slot, p[:11], p[11], slotCluster(p), name, want)
	}
}

// addEntry takes the short name of a file or a directory.
func (d *dirWalk) addEntry(p []byte) error {
	e := &Entry{Attr: p[11], Dir: p[11]&AttrDirectory != 0, Size: int64(binary.LittleEndian.Uint32(p[28:])), first: slotCluster(p)}
	long, ok := d.takeLong(p)
	short, shown := d.shortName(p, p[12])
	e.Short, e.Name, e.HasLong = short, shown, ok
	if ok {
		e.Name = long
	}
	e.Path = e.Name
	if d.path != "" {
		e.Path = d.path + "/" + e.Name
	}
	d.checkUnique(e)
	if p[11]&0xC0 != 0 {
		d.rd.problem("/%s: reserved attribute bits %#x", e.Path, p[11])
	}
	e.Created = d.stamp(e, "creation", p[16:], p[14:], p[13])
	e.Modified = d.stamp(e, "write", p[24:], p[22:], 0)
	e.Accessed = d.stamp(e, "access", p[18:], nil, 0)
	if e.Modified.IsZero() {
		d.rd.problem("/%s: no write date", e.Path)
	}
	if d.rd.tree.Entries[e.Path] == nil {
		d.rd.tree.Entries[e.Path] = e
		d.rd.tree.Order = append(d.rd.tree.Order, e.Path)
	}
	if !e.Dir {
		return d.rd.readFile(e)
	}
	if e.Size != 0 {
		d.rd.problem("/%s: directory with size %d", e.Path, e.Size)
	}
	if d.rd.isUsed(e.first) {
		d.rd.problem("/%s: directory at cluster %d, which is linked already", e.Path, e.first)
		return nil
	}
	d.subs = append(d.subs, e)
	return nil
}

// isUsed tells whether a chain passed a cluster.
func (rd *reader) isUsed(c uint32) bool {
	return c >= 2 && c <= rd.v.Clusters+1 && rd.used[c/64]&(1<<(c%64)) != 0
}

// checkUnique reports a name that another entry has as long or short name.
func (d *dirWalk) checkUnique(e *Entry) {
	if e.Name == "." || e.Name == ".." {
		d.rd.problem("%s: slot %d: entry %q", d.show(), d.slot, e.Name)
	}
	long, short := fold(e.Name), fold(e.Short)
	for _, key := range []string{long, short} {
		if other, ok := d.seen[key]; ok {
			d.rd.problem("%s: %q (%s) has the name of %q", d.show(), e.Name, e.Short, other)
		}
	}
	d.seen[long], d.seen[short] = e.Name, e.Name
}

// readFile walks a file's chain, compares its length with the size, and
// hashes the contents.
func (rd *reader) readFile(e *Entry) error {
	if e.Size == 0 {
		if e.first != 0 {
			rd.problem("/%s: empty file with cluster %d", e.Path, e.first)
		}
		e.Hash = sha256.Sum256(nil)
		return nil
	}
	clusters := rd.chain(e.first, "/"+e.Path)
	if want := (e.Size + rd.v.ClusterBytes - 1) / rd.v.ClusterBytes; int64(len(clusters)) != want {
		rd.problem("/%s: chain of %d clusters for %d bytes, not %d", e.Path, len(clusters), e.Size, want)
	}
	for i, c := range clusters {
		if i == 0 || c != clusters[i-1]+1 {
			e.Clusters = append(e.Clusters, c)
		}
	}
	if rd.o.SkipContents {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, rd.readRuns(rd.runs(clusters), e.Size)); err != nil {
		return fmt.Errorf("/%s: %w", e.Path, err)
	}
	h.Sum(e.Hash[:0])
	return nil
}

// contents reads a file again. It follows the chain without marking it, for
// no more clusters than the size needs.
func (rd *reader) contents(e *Entry) io.Reader {
	var clusters []uint32
	for c, left := e.first, e.Size; left > 0 && c >= 2 && c <= rd.v.Clusters+1; left -= rd.v.ClusterBytes {
		clusters = append(clusters, c)
		c = rd.entry(c)
	}
	return rd.readRuns(rd.runs(clusters), e.Size)
}

// slotCluster returns the first cluster of a slot: high half at 20, low at 26.
func slotCluster(p []byte) uint32 {
	return uint32(binary.LittleEndian.Uint16(p[20:]))<<16 | uint32(binary.LittleEndian.Uint16(p[26:]))
}

// stamp decodes a date and a time (FAT section 6.3). clock may be nil for a
// date alone; tenths are units of 10 ms, up to two seconds.
func (d *dirWalk) stamp(e *Entry, what string, date, clock []byte, tenths byte) time.Time {
	day := binary.LittleEndian.Uint16(date)
	var c uint16
	if clock != nil {
		c = binary.LittleEndian.Uint16(clock)
	}
	if day == 0 {
		if c != 0 || tenths != 0 {
			d.rd.problem("/%s: %s time without a date", e.Path, what)
		}
		return time.Time{}
	}
	year, month, mday := 1980+int(day>>9), time.Month(day>>5&15), int(day&31)
	hour, minute, second := int(c>>11), int(c>>5&63), int(c&31)*2
	t := time.Date(year, month, mday, hour, minute, second, int(tenths)*10_000_000, time.UTC)
	if month < 1 || month > 12 || mday < 1 || hour > 23 || minute > 59 || second > 59 || tenths > 199 || t.Day() != mday {
		d.rd.problem("/%s: %s date %#04x, time %#04x, tenths %d", e.Path, what, day, c, tenths)
	}
	return t
}
