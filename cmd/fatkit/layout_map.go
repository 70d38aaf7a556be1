package main

import (
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/fat"
)

// Size of a map.
const (
	maxMapWidth = 1000 // cells to a line
	mapLines    = 16   // at most
)

// clusterMap is a picture of the clusters of a volume.
type clusterMap struct {
	perCell uint32 // clusters to a cell
	width   int
	cells   []fat.ClusterUse
}

// newClusterMap returns a map of so many clusters, all of them free.
func newClusterMap(clusters uint32, width int) *clusterMap {
	room := uint32(width * mapLines)
	perCell := max(1, (clusters+room-1)/room)
	return &clusterMap{perCell, width, make([]fat.ClusterUse, (clusters+perCell-1)/perCell)}
}

// add marks n clusters from first on.
func (m *clusterMap) add(first, n uint32, use fat.ClusterUse) {
	if use == fat.ClusterFree {
		return
	}
	for cell := (first - 2) / m.perCell; cell <= (first-2+n-1)/m.perCell; cell++ {
		m.cells[cell] = max(m.cells[cell], use)
	}
}

// String draws the map: a line begins with the number of its first cluster.
func (m *clusterMap) String() string {
	var b strings.Builder
	for i := 0; i < len(m.cells); i += m.width {
		fmt.Fprintf(&b, "%10d ", 2+uint32(i)*m.perCell)
		for _, use := range m.cells[i:min(len(m.cells), i+m.width)] {
			b.WriteByte(".#+x"[use])
		}
		b.WriteByte('\n')
	}
	return b.String()
}
