package fat

import (
	"fmt"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// foundSlot returns a free slot of FOUND.000, which it makes or makes longer if
// need be; -1 if there is no room.
func (c *checker) foundSlot() (int, error) {
	if c.noFound {
		return -1, nil
	}
	if c.found == nil {
		if err := c.makeFound(); err != nil || c.found == nil {
			return -1, err
		}
	}
	return c.roomIn(c.found)
}

// roomIn returns a free slot of d, which it makes longer if need be; -1 if there
// is no room.
func (c *checker) roomIn(d *checkDir) (int, error) {
	if i := c.freeSlot(d); i >= 0 {
		return i, nil
	}
	if len(d.clusters) == 0 || len(d.raw)+c.geo.ClusterBytes() > maxDirBytes {
		return -1, nil
	}
	next, err := c.zeroCluster()
	if err != nil || next == 0 {
		return -1, err
	}
	if err := c.set(d.clusters[len(d.clusters)-1], next); err != nil {
		return -1, err
	}
	i := d.slots()
	d.clusters = append(d.clusters, next)
	d.raw = append(d.raw, make([]byte, c.geo.ClusterBytes())...)
	d.changed = append(d.changed, make([]bool, (c.geo.ClusterBytes()+sectorBytes-1)/sectorBytes)...)
	return i, nil
}

// foundPath returns the name of the folder for what belongs to no file, which is
// that of Windows' CHKDSK.
func (c *checker) foundPath() string {
	if c.found == nil {
		return "FOUND.000"
	}
	return c.found.path
}

// zeroCluster allocates a cluster and clears it; 0 if there is none.
func (c *checker) zeroCluster() (uint32, error) {
	n, err := c.allocate()
	if err != nil || n == 0 {
		return 0, err
	}
	return n, c.disk.write(make([]byte, c.geo.ClusterBytes()), c.geo.ClusterOffset(n))
}

// makeFound makes a folder FOUND.nnn that there is not in the root directory.
// Without room for it, c.found stays nil.
func (c *checker) makeFound() error {
	c.noFound = true
	root, err := c.load(c.rootItem())
	if err != nil {
		return err
	}
	i, err := c.roomIn(root)
	if err != nil || i < 0 {
		return err
	}
	used := map[string]bool{}
	scanSlots(root.raw, c.cp, func(_ position, name string, e *fatfmt.DirEntry) bool {
		used[fatfmt.FoldKey(name)], used[string(e.Name[:])] = true, true
		return true
	})
	name, short := "", [11]byte{}
	for n := 0; ; n++ {
		name = fmt.Sprintf("FOUND.%03d", n)
		copy(short[:], fmt.Sprintf("FOUND   %03d", n))
		if !used[name] && !used[string(short[:])] {
			break
		}
	}
	first, err := c.zeroCluster()
	if err != nil || first == 0 {
		return err
	}
	e := fatfmt.DirEntry{Name: short, Attr: fatfmt.AttrDirectory, Cluster: first}
	c.stamp(&e)
	e.Encode(root.slot(i))
	root.change(i)
	if c.found, err = c.load(item{path: name, first: first}); err != nil {
		return err
	}
	e.Name = fatfmt.DotName
	e.Encode(c.found.slot(0))
	e.Name, e.Cluster = fatfmt.DotDotName, 0
	e.Encode(c.found.slot(1))
	c.found.change(0)
	c.res.Dirs++
	c.noFound = false
	if err := c.save(root); err != nil {
		return err
	}
	return c.save(c.found)
}
