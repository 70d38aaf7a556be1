package crash

import "fmt"

// kind is what an event is.
type kind uint8

const (
	write kind = iota
	fua
	zero
	discard
	flush
)

var kindNames = [...]string{"write", "durable write", "zeroes", "discard", "flush"}

// event is a change or a flush that was answered.
type event struct {
	kind       kind
	off, n     int64  // bytes, as the caller gave them
	first, end int64  // sectors
	data       []byte // of all sectors afterwards; nil if they are zeroes
}

func (e event) String() string {
	if e.kind == flush {
		return "flush"
	}
	return fmt.Sprintf("%s of %d bytes at %d", kindNames[e.kind], e.n, e.off)
}

// apply puts what the event left in a sector into img.
func (e event) apply(img *image, sector int64) {
	from := (sector - e.first) * sectorBytes
	switch {
	case e.data != nil:
		img.write(e.data[from:min(from+sectorBytes, int64(len(e.data)))], sector*sectorBytes)
	default:
		img.zero(sector*sectorBytes, sectorBytes)
	}
}

// applyAll puts what the event left into img.
func (e event) applyAll(img *image) {
	switch {
	case e.data != nil:
		img.write(e.data, e.first*sectorBytes)
	default:
		img.zero(e.first*sectorBytes, (e.end-e.first)*sectorBytes)
	}
}
