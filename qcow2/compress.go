package qcow2

import (
	"bytes"
	"fmt"
	"io/fs"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// deflater is a pooled deflate writer.
type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

var deflaters = sync.Pool{New: func() any {
	z := new(deflater)
	var err error
	if z.w, err = flate.NewWriterWindow(&z.out, deflateWindowBytes); err != nil {
		panic(err) // the window is a constant
	}
	return z
}}

// maxClusterBytes is the most that compressed data can refer back.
const maxClusterBytes = 1 << qcow2fmt.MaxClusterBits

// zstdEncoder compresses whole clusters. It is safe for concurrent use and
// gives the same bytes every time.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithWindowSize(maxClusterBytes))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

// compress appends the compressed form of src, a cluster, to dst. It returns
// false if that is no smaller than the cluster.
func compress(dst, src []byte, typ qcow2fmt.Compression) ([]byte, bool) {
	start := len(dst)
	if typ == qcow2fmt.CompressionZstd {
		dst = zstdEncoder().EncodeAll(src, dst)
		return dst, len(dst)-start < len(src)
	}
	z := deflaters.Get().(*deflater)
	defer deflaters.Put(z)
	z.out.Reset()
	z.w.Reset(&z.out)
	// Writing to memory does not fail.
	_, _ = z.w.Write(src)
	_ = z.w.Close()
	return append(dst, z.out.Bytes()...), z.out.Len() < len(src)
}

// WriteCompressed writes p compressed. It starts and ends at cluster
// boundaries, or at the end of the disk. Clusters that do not become smaller
// are written plainly. What was there before, compressed or not, is freed.
//
// Fill does the same for a whole disk, faster and with the same result every
// time.
func (img *Image) WriteCompressed(p []byte, off int64) error {
	size := img.geo.ClusterBytes()
	end := off + int64(len(p))
	if off%size != 0 || end%size != 0 && end != img.Size() {
		return fmt.Errorf("qcow2: compressed write of %d bytes at %d is not aligned to clusters: %w", len(p), off, fs.ErrInvalid)
	}
	if err := img.enterWrite(off, int64(len(p))); err != nil || len(p) == 0 {
		return img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	for len(p) > 0 {
		n := min(int64(len(p)), maxPackedClusters*size)
		pk := img.pack(p[:n], off, true)
		for at := int64(0); at < n; at += size {
			if pk.writes(off + at) {
				continue
			}
			if err := img.blank(off+at, min(size, n-at)); err != nil {
				return err
			}
		}
		if err := img.deliver(pk, img.place(pk)); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	if img.opts.Mode == WriteThrough {
		return img.push()
	}
	return nil
}

// maxPackedClusters bounds what WriteCompressed has in memory.
const maxPackedClusters = 16

// parcel is a piece of the disk on its way into the image, in three steps:
// pack prepares its bytes, place takes room for them, deliver writes them. Only
// the order of place decides where things lie.
type parcel struct {
	off    int64
	data   []byte // of the disk
	runs   []span // of clusters that are written plainly
	plans  []*plan
	packed []packedCluster
	bytes  []byte // of the packed clusters, one after the other
}

// packedCluster is a compressed cluster.
type packedCluster struct {
	off        int64 // of the disk
	start, end int64 // within parcel.bytes
	host       int64 // where it goes
	plan       *plan
}

// pack finds out which clusters of p hold something, and compresses them if
// asked to. Clusters of zeroes are left out.
func (img *Image) pack(p []byte, off int64, compressIt bool) *parcel {
	pk := &parcel{off: off, data: p}
	size := img.geo.ClusterBytes()
	for at := int64(0); at < int64(len(p)); at += size {
		cluster := p[at:min(at+size, int64(len(p)))]
		if isZero(cluster) {
			continue
		}
		if compressIt && img.packCluster(pk, cluster, off+at) {
			continue
		}
		if k := len(pk.runs) - 1; k >= 0 && pk.runs[k].off+pk.runs[k].n == off+at {
			pk.runs[k].n += int64(len(cluster))
		} else {
			pk.runs = append(pk.runs, span{off + at, int64(len(cluster))})
		}
	}
	return pk
}

// packCluster compresses one cluster, unless that makes it no smaller.
func (img *Image) packCluster(pk *parcel, cluster []byte, off int64) bool {
	if short := img.geo.ClusterBytes() - int64(len(cluster)); short > 0 {
		if off+int64(len(cluster)) != img.Size() {
			return false // what follows on the disk must stay
		}
		cluster = append(cluster[:len(cluster):len(cluster)], make([]byte, short)...) // the disk ends here
	}
	start := len(pk.bytes)
	out, smaller := compress(pk.bytes, cluster, img.compression)
	if !smaller {
		pk.bytes = out[:start]
		return false
	}
	pk.bytes = out
	pk.packed = append(pk.packed, packedCluster{off: off, start: int64(start), end: int64(len(out))})
	return true
}

// isZero reports whether p is all zeroes.
func isZero(p []byte) bool {
	for len(p) > len(zeroes) {
		if !bytes.Equal(p[:len(zeroes)], zeroes[:]) {
			return false
		}
		p = p[len(zeroes):]
	}
	return bytes.Equal(p, zeroes[:len(p)])
}

// place takes room for everything in a parcel, in the order of the disk.
func (img *Image) place(pk *parcel) error {
	packed := pk.packed
	for _, r := range pk.runs {
		for len(packed) > 0 && packed[0].off < r.off {
			if err := img.placePacked(&packed[0]); err != nil {
				return err
			}
			packed = packed[1:]
		}
		for off, n := r.off, r.n; n > 0; {
			p, err := img.makePlan(off, n)
			if err != nil {
				return err
			}
			if p == nil { // it can be overwritten: deliver does without a plan
				m := min(n, img.geo.ClusterBytes()-off&(img.geo.ClusterBytes()-1))
				p = &plan{off: off, n: m}
			}
			pk.plans = append(pk.plans, p)
			off, n = off+p.n, n-p.n
		}
	}
	for i := range packed {
		if err := img.placePacked(&packed[i]); err != nil {
			return err
		}
	}
	return nil
}

// placePacked takes room for a compressed cluster.
func (img *Image) placePacked(c *packedCluster) error {
	img.plan.Lock()
	defer img.plan.Unlock()
	if err := img.prepare(); err != nil {
		return err
	}
	first := c.off >> img.geo.ClusterBits
	img.await(first, 1)
	if _, err := img.ownTable(c.off); err != nil {
		return err
	}
	host, err := img.refs.allocatePacked(c.end - c.start)
	if err != nil {
		return err
	}
	c.host = host
	c.plan = &plan{off: c.off, n: img.geo.ClusterBytes(), first: first, count: 1}
	img.plans = append(img.plans, c.plan)
	return nil
}

// deliver writes a parcel that was placed, and makes the mapping refer to it.
// All its plans end, whether something fails or has failed before.
func (img *Image) deliver(pk *parcel, failed error) error {
	e := img.maps.enter()
	defer e.Release()
	for _, p := range pk.plans {
		w := payload{p: pk.data[p.off-pk.off : p.off-pk.off+p.n]}
		switch {
		case p.count == 0 && failed == nil:
			_, failed = img.store(w, p.off, p.n)
		case p.count > 0 && failed == nil:
			failed = img.carryOut(p, w, 0)
		case p.count > 0:
			img.land(p, failed)
		}
	}
	return img.deliverPacked(pk, failed)
}

// deliverPacked writes the compressed clusters of a parcel, unless something
// failed already, in as few pieces as they lie in.
func (img *Image) deliverPacked(pk *parcel, failed error) error {
	for i := 0; i < len(pk.packed) && failed == nil; {
		k := i + 1
		for k < len(pk.packed) && pk.packed[k].host == pk.packed[k-1].host+pk.packed[k-1].end-pk.packed[k-1].start {
			k++
		}
		failed = img.file.writeAt(pk.bytes[pk.packed[i].start:pk.packed[k-1].end], pk.packed[i].host)
		i = k
	}
	for _, c := range pk.packed {
		if c.plan == nil {
			continue // place failed before it
		}
		if failed == nil {
			failed = img.linkPacked(&c)
		}
		img.land(c.plan, nil)
	}
	return failed
}

// linkPacked makes the mapping refer to a compressed cluster.
func (img *Image) linkPacked(c *packedCluster) error {
	m := img.maps
	return m.update(c.off, func(s slot, sl *slice) error {
		m.releaseOld(m.entryAt(sl, s.at))
		m.putEntry(sl, s.at, entry{L2Entry: img.geo.NewCompressedEntry(c.host, c.end-c.start)})
		return nil
	})
}

// allocatePacked takes n bytes, less than a cluster, for compressed data. They
// share clusters with those before and after, each of which counts once in the
// refcount of a cluster.
func (r *refcounts) allocatePacked(n int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return 0, r.failed
	}
	size, bits := r.geo.ClusterBytes(), r.geo.ClusterBits
	at, room := r.packAt, -r.packAt&(size-1)
	shared := false
	if room > 0 {
		var err error
		if shared, err = r.raise(at >> bits); err != nil {
			return 0, err
		}
	}
	if !shared || n > room {
		run, err := r.take(1)
		if err != nil {
			return 0, err
		}
		if shared && run.first != at>>bits+1 { // not next to it: start anew
			if err := r.dropLocked(release{first: at >> bits, n: 1}); err != nil {
				return 0, err
			}
			shared = false
		}
		if !shared {
			at = run.first << bits
		}
	}
	if at >= r.geo.MaxCompressedOffset() {
		return 0, &diskerr.NoSpaceError{What: "qcow2 image, for compressed data", Needed: at, Available: r.geo.MaxCompressedOffset()}
	}
	r.packAt = at + n
	return at, nil
}
