package crash

import (
	"fmt"
	"math/rand/v2"
)

// Cut returns what the disk may hold when the power fails during event k: those
// before k were answered, k itself was under way, and those after it never
// began. k == Events() is a cut when nothing is under way. The same k and seed
// give the same image, as long as no more than the events after k are added.
//
// Seed 0 loses everything that may be lost. Seed 1 loses nothing but the event
// under way, and seed 2 not even that. Other seeds lose at random, in ways that
// find different mistakes: whole changes or single sectors, with a chance drawn
// for each cut; all but the first few changes; just one change; all but one.
//
// It panics if k is out of range.
func (d *Device) Cut(k int, seed uint64) *Device {
	d.mu.RLock()
	defer d.mu.RUnlock()
	img, pending := d.durable(k)
	underway := k < len(d.events)
	survives := survivors(len(pending), underway, rand.New(rand.NewPCG(seed, uint64(k))), seed)
	for i, p := range pending {
		for sector := p.first; sector < p.end; sector++ {
			if survives(i) && !p.settled[sector] {
				p.apply(img, sector)
			}
		}
	}
	return from(img, d.size)
}

// Kill returns what the disk holds when the program dies during event k and the
// system lives on: everything before k, and any of the sectors of k. It panics
// if k is out of range.
func (d *Device) Kill(k int, seed uint64) *Device {
	d.mu.RLock()
	defer d.mu.RUnlock()
	img, pending := d.durable(k)
	rng := rand.New(rand.NewPCG(seed, uint64(k)))
	for _, p := range pending {
		if !p.underway {
			p.replay(img)
			continue
		}
		for sector := p.first; sector < p.end; sector++ {
			if rng.IntN(2) == 0 {
				p.apply(img, sector)
			}
		}
	}
	return from(img, d.size)
}

// pendingEvent is a change that is not durable, or not all of it.
type pendingEvent struct {
	event
	underway bool           // not answered
	settled  map[int64]bool // sectors that a later durable write has settled; nil: none
}

// replay puts everything that is not settled into img.
func (p pendingEvent) replay(img *image) {
	if p.settled == nil {
		p.applyAll(img)
		return
	}
	for sector := p.first; sector < p.end; sector++ {
		if !p.settled[sector] {
			p.apply(img, sector)
		}
	}
}

// durable returns the medium at a cut during event k, and the changes that may
// have reached it besides, in order. The caller holds mu.
func (d *Device) durable(k int) (*image, []pendingEvent) {
	if k < 0 || k > len(d.events) {
		panic(fmt.Sprintf("crash: cut at event %d of %d", k, len(d.events)))
	}
	flushed := k // events before it are durable
	for flushed > 0 && d.events[flushed-1].kind != flush {
		flushed--
	}
	at := len(d.points) - 1
	for d.points[at].events > flushed {
		at--
	}
	img := d.points[at].img.snapshot()
	for _, e := range d.events[d.points[at].events:flushed] {
		if e.kind != flush {
			e.applyAll(img)
		}
	}
	var pending []pendingEvent
	for _, e := range d.events[flushed:k] {
		if e.kind == fua {
			e.applyAll(img)
			settle(pending, e)
			continue
		}
		pending = append(pending, pendingEvent{event: e})
	}
	if k < len(d.events) && d.events[k].kind != flush {
		pending = append(pending, pendingEvent{event: d.events[k], underway: true})
	}
	return img, pending
}

// settle takes the sectors of a durable write from the changes before it: the
// medium cannot go back to them.
func settle(pending []pendingEvent, e event) {
	for i := range pending {
		p := &pending[i]
		for sector := max(p.first, e.first); sector < min(p.end, e.end); sector++ {
			if p.settled == nil {
				p.settled = make(map[int64]bool)
			}
			p.settled[sector] = true
		}
	}
}

// survivors returns a function that says whether the next sector of the i-th of
// n pending changes reaches the medium. The last one is under way if underway is set.
func survivors(n int, underway bool, rng *rand.Rand, seed uint64) func(i int) bool {
	answered := n
	if underway {
		answered--
	}
	switch seed {
	case 0:
		return func(int) bool { return false }
	case 1:
		return func(i int) bool { return i < answered }
	case 2:
		return func(int) bool { return true }
	}
	one := rng.IntN(max(n, 1))
	chance := rng.Float64()
	torn := func(i int) bool { return i == n-1 && underway && rng.IntN(2) == 0 }
	switch seed % 5 {
	case 0: // whole changes
		keep := make([]bool, n)
		for i := range keep {
			keep[i] = rng.Float64() < chance
		}
		return func(i int) bool { return keep[i] && !torn(i) }
	case 1: // single sectors
		return func(int) bool { return rng.Float64() < chance }
	case 2: // the first few
		return func(i int) bool { return i < one || i == one && rng.IntN(2) == 0 }
	case 3: // just one
		return func(i int) bool { return i == one && !torn(i) }
	}
	return func(i int) bool { return i != one && !torn(i) } // all but one
}
