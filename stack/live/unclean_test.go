//go:build linux

package live

import (
	"testing"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/stack"
)

// mark sets the state byte in the boot sector of the volume, as Linux does while
// it has the volume mounted.
func mark(t *testing.T, g *stack.Generation, dirty bool) {
	t.Helper()
	off := g.Facts.VolumeOffset
	sector := make([]byte, fatfmt.BootSectorBytes)
	_, err := g.Device.ReadAt(sector, off)
	must(t, err)
	b, err := fatfmt.DecodeBootSector(sector)
	must(t, err)
	sector[b.StateOffset()] = 0
	if dirty {
		sector[b.StateOffset()] = fatfmt.StateDirty
	}
	_, err = g.Device.WriteAt(sector, off)
	must(t, err)
}

// A disk that a guest had mounted when the server ended is presented again and
// again until the guest has unmounted it, also by servers under which nobody
// writes to it.
func TestUncleanResumes(t *testing.T) {
	b := newBench(t)
	_, g := b.mustServe(t, Options{})
	scribble(t, g, 9)
	mark(t, g, true)
	must(t, g.Close())
	for range 3 {
		_, g = b.mustServe(t, Options{})
		if scribbled(t, g) != 9 {
			t.Fatal("the disk of a guest that has it mounted was made anew")
		}
		must(t, g.Close())
	}
	_, g = b.mustServe(t, Options{})
	mark(t, g, false)
	must(t, g.Close())
	_, g = b.mustServe(t, Options{})
	if scribbled(t, g) != 0 {
		t.Error("the guest has left the volume clean, and the disk was not made anew")
	}
	must(t, g.Close())
}
