package diff

import (
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// Memory is what a Differ knows beside its catalog. With it another Differ
// goes on where this one ended.
type Memory struct {
	Fresh   []Range // what was written and is not part of what was committed
	Pending []catalog.ID
	Label   []byte // of the root directory; nil if it was not looked at
}

// Memory returns what the Differ knows.
func (d *Differ) Memory() Memory {
	m := Memory{Pending: sortedKeys(d.pending)}
	for _, n := range sortedKeys(d.fresh) {
		const chunkBytes = chunkSectors * sectorBytes
		m.Fresh = d.fresh.within(m.Fresh, n*chunkBytes, chunkBytes, 0)
	}
	if d.label != nil {
		m.Label = d.label[:]
	}
	return m
}

// Remember makes a new Differ know what m says.
func (d *Differ) Remember(m Memory) {
	for _, r := range m.Fresh {
		d.fresh.add(r.Off, r.Len)
	}
	for _, id := range m.Pending {
		d.pending[id] = true
	}
	if len(m.Label) == fatfmt.LabelBytes {
		d.label = (*[fatfmt.LabelBytes]byte)(m.Label)
	}
}
