package blocktest

import (
	"bytes"
	"fmt"

	"github.com/fatkit/fatkit/block"
)

// modelBytes is how much of each end of a device the model follows.
const modelBytes = 2 << 20

// model is what a range of the device should hold.
type model struct {
	span
	bytes []byte
}

// checkRandomOperations changes the device at random and compares it with a
// model after every step.
func checkRandomOperations(e *env) error {
	models, err := e.models()
	if err != nil {
		return err
	}
	ops := e.o.Ops
	if ops == 0 {
		ops = 400
	}
	for i := range ops {
		m := models[e.rng.IntN(len(models))]
		s := e.spanIn(m.off, m.off+m.n)
		name, err := e.step(m, s)
		if err == nil {
			// The neighbours too: a write must not spill.
			err = e.compare(m, e.around(m, s))
		}
		if err != nil {
			return fmt.Errorf("operation %d, %s %v, seed %d: %w", i, name, s, e.o.Seed, err)
		}
	}
	return e.compareAll(models)
}

// models returns the models of the device's ends as they are now.
func (e *env) models() ([]*model, error) {
	size := e.dev.Size()
	n := modelBytes / e.unit() * e.unit()
	spans := []span{{0, size}}
	if size > 2*n {
		spans = []span{{0, n}, {size - n, n}}
	}
	var out []*model
	for _, s := range spans {
		m := &model{s, make([]byte, s.n)}
		if err := e.readAll(m.bytes, s.off); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// readAll reads p in calls of bounded size.
func (e *env) readAll(p []byte, off int64) error {
	most := e.most() / e.unit() * e.unit()
	for len(p) > 0 {
		n := min(int64(len(p)), most)
		if err := block.ReadFull(e.dev, p[:n], off); err != nil {
			return fmt.Errorf("ReadFull of %d bytes at %d: %w", n, off, err)
		}
		p, off = p[n:], off+n
	}
	return nil
}

// step does one random operation on s, to the device and to the model.
func (e *env) step(m *model, s span) (string, error) {
	p := m.bytes[s.off-m.off:][:s.n]
	switch e.rng.IntN(8) {
	case 0:
		clear(p)
		return "WriteZeroes", block.WriteZeroes(e.dev, s.off, s.n, 0)
	case 1:
		clear(p)
		return "WriteZeroes NoHole", block.WriteZeroes(e.dev, s.off, s.n, block.NoHole)
	case 2:
		// What it reads as now is unspecified, but no longer than until the
		// next write.
		if err := block.Discard(e.dev, s.off, s.n); err != nil {
			return "Discard", err
		}
		e.noise(p)
		return "Discard and WriteAt", e.write(p, s.off)
	case 3:
		return "Flush", e.dev.Flush()
	case 4:
		e.noise(p)
		n, err := block.WriteAtFUA(e.dev, p, s.off)
		if err == nil && n != len(p) {
			err = fmt.Errorf("%d bytes written", n)
		}
		return "WriteAtFUA", err
	}
	e.noise(p)
	return "WriteAt", e.write(p, s.off)
}

// around returns s and up to 4 KiB on both sides, within m and within what one
// call can move.
func (e *env) around(m *model, s span) span {
	margin := min(4096, (e.most()-s.n)/2) / e.unit() * e.unit()
	if margin < 0 {
		return s
	}
	from := max(m.off, s.off-margin)
	to := min(m.off+m.n, s.off+s.n+margin)
	return span{from, to - from}
}

func (e *env) compare(m *model, s span) error {
	got, err := e.read(s)
	if err != nil {
		return err
	}
	if want := m.bytes[s.off-m.off:][:s.n]; !bytes.Equal(got, want) {
		return fmt.Errorf("%v: %s", s, diff(got, want))
	}
	return nil
}

func (e *env) compareAll(models []*model) error {
	for _, m := range models {
		got := make([]byte, m.n)
		if err := e.readAll(got, m.off); err != nil {
			return err
		}
		if !bytes.Equal(got, m.bytes) {
			return fmt.Errorf("in the end, %v: %s", m.span, diff(got, m.bytes))
		}
	}
	return nil
}

// checkReopen closes the device after random changes and opens it again.
func checkReopen(e *env) error {
	if err := e.scribble(); err != nil {
		return err
	}
	models, err := e.models()
	if err != nil {
		return err
	}
	size := e.dev.Size()
	if err := e.close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	e.dev, e.closed = e.o.Reopen(e.t), false
	if e.dev.Size() != size {
		return fmt.Errorf("the size was %d and is %d after reopening", size, e.dev.Size())
	}
	return e.compareAll(models)
}
