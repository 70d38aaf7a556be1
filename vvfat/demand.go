package vvfat

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Candidate cluster sizes are the powers of two from 2^minClusterBits.
const (
	minClusterBits = 9
	maxClusterBits = 19 // fatfmt.MaxClusterBytes
)

// demand is what a tree takes on a disk, for every cluster size at once.
type demand struct {
	// clustersBy holds, by the logarithm of the cluster size less
	// minClusterBits, the clusters of all files and of all directories but
	// the root.
	clustersBy [maxClusterBits - minClusterBits + 1]int64
	// dirBytes are the sizes of the directories in the order of the tree, the
	// root's at 0.
	dirBytes []uint32
	bytes    int64 // of all files
}

// errTooManyEntries is the limit of FAT 1.03, "FAT Directory Structure".
var errTooManyEntries = fmt.Errorf("more entries than a FAT directory holds, which is %d slots with those of long names; --exclude leaves some out", fatfmt.MaxDirSlots)

// measure finds the names and sizes of all entries. labelSlots is the number
// of slots of the root that are no entries of the tree.
func measure(n *names, labelSlots int, warn func(Warning)) (*demand, error) {
	t := n.tree
	d := &demand{bytes: t.bytes, dirBytes: make([]uint32, 0, t.Dirs())}
	for id := RootID; int(id) < t.count; id++ {
		node := t.node(id)
		if !node.isDir() {
			d.add(node.size)
			continue
		}
		slots := n.survey(id, warn)
		if id == RootID {
			slots += labelSlots
		} else {
			slots += dotSlots
		}
		if slots > fatfmt.MaxDirSlots {
			return nil, scanError(t.source, t.path(id), errTooManyEntries)
		}
		bytes := uint32(slots * fatfmt.DirEntryBytes)
		d.dirBytes = append(d.dirBytes, bytes)
		if id != RootID {
			d.add(bytes)
		}
	}
	return d, nil
}

// add counts one file or directory.
func (d *demand) add(size uint32) {
	for i := range d.clustersBy {
		shift := minClusterBits + i
		d.clustersBy[i] += (int64(size) + 1<<shift - 1) >> shift
	}
}

// rootBytes returns the size of the entries of the root.
func (d *demand) rootBytes() int64 { return int64(d.dirBytes[0]) }

// clusters returns how many clusters of so many bytes the tree takes on a
// volume of type t.
func (d *demand) clusters(t fatfmt.Type, clusterBytes int) int64 {
	n := d.clustersBy[bits.TrailingZeros(uint(clusterBytes))-minClusterBits]
	if t == fatfmt.FAT32 {
		n += max(1, (d.rootBytes()+int64(clusterBytes)-1)/int64(clusterBytes))
	}
	return n
}

// fits reports whether the tree fits in the volume g: errRoot if its root
// directory does not, errVolume if its clusters do not.
func (d *demand) fits(g *fatfmt.Geometry) error {
	if g.Type != fatfmt.FAT32 && d.rootBytes() > g.RootBytes() {
		return errRoot
	}
	if d.clusters(g.Type, g.ClusterBytes()) > int64(g.Clusters) {
		return errVolume
	}
	return nil
}

var (
	errRoot   = errors.New("the root directory is too small")
	errVolume = errors.New("there are too few clusters")
)
