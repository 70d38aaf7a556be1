package qcow2

import (
	"os"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// payload is what a write puts on the disk: bytes, a range of a host file,
// zeroes that were not there, or zeroes that were, for which there is to be
// room.
type payload struct {
	p    []byte
	file *os.File
	off  int64 // of the bytes in file
	room Preallocation
}

// write puts n bytes of the payload, from skip on, into the file at host. fresh
// says that there are zeroes.
func (w payload) write(c *container, host, skip, n int64, fresh bool) error {
	switch {
	case w.room != PreallocateOff:
		return w.room.writeRoom(c, host, n, fresh)
	case w.p != nil:
		return c.writeAt(w.p[skip:skip+n], host)
	case w.file != nil:
		return c.writeFile(host, w.file, w.off+skip, n)
	}
	return c.zero(host, n)
}

// WriteAt writes to the virtual disk. A write to clusters that belong to this
// disk alone goes straight to the file; any other finds room first.
func (img *Image) WriteAt(p []byte, off int64) (int, error) {
	if err := img.enterWrite(off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	n, err := img.store(payload{p: p}, off, int64(len(p)))
	return int(n), err
}

// WriteFile writes a range of a host file to the virtual disk, inside the
// kernel where the file can.
func (img *Image) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	if err := img.enterWrite(off, n); err != nil || n == 0 {
		return img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	_, err := img.store(payload{file: f, off: srcOff}, off, n)
	return err
}

// WriteAtFUA writes durably. Where the mapping is durable already and does not
// change, only the data has to be.
func (img *Image) WriteAtFUA(p []byte, off int64) (int, error) {
	if err := img.enterWrite(off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	if done, err := img.overwriteDurably(p, off); done {
		return len(p), err
	}
	n, err := img.store(payload{p: p}, off, int64(len(p)))
	if err == nil {
		err = img.flush()
	}
	return int(n), err
}

// overwriteDurably does a durable write in one piece, if it can be one.
func (img *Image) overwriteDurably(p []byte, off int64) (bool, error) {
	e := img.maps.enter()
	defer e.Release()
	r, err := img.maps.find(off, int64(len(p)))
	if err != nil || r.n < int64(len(p)) || !r.overwritable() || !img.maps.settled() || !img.prepared.Load() {
		return false, nil
	}
	if img.guarded(r) != nil || r.host+r.n > img.file.size() {
		return false, nil
	}
	_, err = block.WriteAtFUA(img.file.dev, p, r.host)
	return true, err
}

// enterWrite begins a change of [off, off+n). After nil the caller leaves the
// gate.
func (img *Image) enterWrite(off, n int64) error {
	if err := img.gate.Enter(); err != nil {
		return err
	}
	err := img.failure()
	if img.readOnly {
		err = diskerr.ErrReadOnly
	}
	if err == nil {
		err = block.CheckRange(off, n, img.Size())
	}
	if err == nil && n > 0 && img.maps.crowded() {
		err = img.flush()
	}
	if err != nil {
		img.gate.Leave()
	}
	return err
}

// leaveEmpty ends a call that has nothing to change, and returns err, the
// error of enterWrite. Without one the gate was entered.
func (img *Image) leaveEmpty(err error) error {
	if err == nil {
		img.gate.Leave()
	}
	return err
}

// store writes n bytes of w to the disk at off and returns how many it wrote.
// The range may reach past the end of the disk, but not of its last cluster.
func (img *Image) store(w payload, off, n int64) (int64, error) {
	e := img.maps.enter()
	defer e.Release()
	changed := false
	done := int64(0)
	for done < n {
		m, mapped, err := img.storeSome(w, done, off+done, n-done)
		if err != nil {
			return done, err
		}
		done += m
		changed = changed || mapped
	}
	if changed && img.opts.Mode == WriteThrough {
		if err := img.push(); err != nil {
			return 0, err
		}
	}
	return done, nil
}

// storeSome writes the first part of [off, off+n): what lies in clusters that
// can be overwritten, or in clusters that get room together. The bytes are
// those of w from skip on. mapped says that the mapping has changed.
func (img *Image) storeSome(w payload, skip, off, n int64) (done int64, mapped bool, err error) {
	for {
		r, err := img.maps.find(off, n)
		if err != nil {
			return 0, false, err
		}
		if r.overwritable() && img.prepared.Load() {
			if err := img.guarded(r); err != nil {
				return 0, false, err
			}
			return r.n, false, w.write(img.file, r.host, skip, r.n, false)
		}
		p, err := img.makePlan(off, n)
		if err != nil {
			return 0, false, err
		}
		if p == nil {
			continue // somebody else has made room meanwhile
		}
		return p.n, true, img.carryOut(p, w, skip)
	}
}

// overwritable reports whether writes to the run may go straight to its place.
func (r *run) overwritable() bool { return r.state == stored && r.writable }

// guarded refuses to write data where the image has a table.
func (img *Image) guarded(r run) error {
	first := r.host >> img.geo.ClusterBits
	last := (r.host + r.n - 1) >> img.geo.ClusterBits
	if !img.refs.guard.overlaps(first, last-first+1) {
		return nil
	}
	return img.fail(&diskerr.FormatError{
		Format: formatName, Structure: "L2 table", Field: "entry", Offset: -1, Value: r.host,
		Reason: "a cluster of the disk lies on a table of the image",
	})
}
