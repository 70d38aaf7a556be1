package fat

import (
	"math/bits"
	"sync"

	"github.com/fatkit/fatkit/diskerr"
)

const (
	// segmentClusters is how many clusters one segment of the free-space
	// bitmap covers, 8 KiB of bits.
	segmentClusters = 1 << 16
	// maxSegments bounds the bitmap in memory, to 2 MiB.
	maxSegments = 256
	// searchSegments and searchRuns are how many segments and free runs are
	// searched for one as long as was asked for, before the longest of them is
	// taken.
	searchSegments = 16
	searchRuns     = 256
)

// run is clusters in one piece.
type run struct{ first, n uint32 }

// end returns the cluster after the run.
func (r run) end() uint32 { return r.first + r.n }

// space finds free clusters. The bitmap is made from the FAT, segment by
// segment, as it is needed, and forgotten when there are too many.
type space struct {
	table    *table
	clusters uint32 // of the volume

	mu       sync.Mutex
	segments []segment
	loaded   int    // segments with bits
	clock    int    // where the search for one to forget goes on
	rotor    uint32 // where the next search begins
	// reserved are free clusters set aside for a file that grows.
	reserved map[*node]run
	// doomed are chains that the next commit frees.
	doomed []uint32
	// net is how many clusters were freed, less those that were taken, since
	// the volume was opened.
	net int64
}

// segment is a part of the bitmap.
type segment struct {
	used    []uint64 // a set bit is a cluster in use; nil if not loaded
	free    int32    // free clusters by the FAT; -1 if never counted
	held    int32    // reserved clusters, which are used in the bitmap only
	touched bool     // used since the clock hand passed
}

func newSpace(t *table, clusters, hint uint32) *space {
	s := &space{
		table: t, clusters: clusters, rotor: 2,
		segments: make([]segment, (clusters+2+segmentClusters-1)/segmentClusters),
		reserved: map[*node]run{},
	}
	for i := range s.segments {
		s.segments[i].free = -1
	}
	if hint >= 2 && hint < clusters+2 {
		s.rotor = hint
	}
	return s
}

// bounds returns the clusters of segment i: [lo, hi).
func (s *space) bounds(i int) (lo, hi uint32) {
	lo = uint32(i) * segmentClusters
	return max(lo, 2), min(lo+segmentClusters, s.clusters+2)
}

// load returns segment i with its bits. The caller holds mu.
func (s *space) load(i int) (*segment, error) {
	g := &s.segments[i]
	g.touched = true
	if g.used != nil {
		return g, nil
	}
	if s.loaded >= maxSegments {
		s.forget()
	}
	used := make([]uint64, segmentClusters/64)
	lo, hi := s.bounds(i)
	base := uint32(i) * segmentClusters
	skip := lo - base // 2 in the first segment; the FAT says they are used
	n, err := s.table.free(base+skip, hi-lo, used)
	if err != nil {
		return nil, err
	}
	if skip > 0 {
		shiftUp(used, skip)
	}
	for c := uint32(0); c < skip; c++ {
		used[0] |= 1 << c
	}
	for c := hi - base; c < segmentClusters; c++ {
		used[c/64] |= 1 << (c % 64)
	}
	g.used, g.free = used, int32(n)
	s.loaded++
	return g, nil
}

// shiftUp moves every bit up by n, less than 64.
func shiftUp(words []uint64, n uint32) {
	for i := len(words) - 1; i > 0; i-- {
		words[i] = words[i]<<n | words[i-1]>>(64-n)
	}
	words[0] <<= n
}

// forget drops the bits of a segment that was not used lately and holds
// nothing that the FAT does not say. The caller holds mu.
func (s *space) forget() {
	for range 2 * len(s.segments) {
		g := &s.segments[s.clock]
		s.clock = (s.clock + 1) % len(s.segments)
		if g.used == nil || g.held > 0 {
			continue
		}
		if g.touched {
			g.touched = false
			continue
		}
		g.used = nil
		s.loaded--
		return
	}
}

// allocate finds up to want clusters in one piece, from goal on if those are
// free, else where the last search ended. It says nothing to the FAT. The
// caller holds mu, and links the clusters before it gives mu back.
func (s *space) allocate(goal, want uint32) (run, error) {
	if goal >= 2 && goal < s.clusters+2 {
		r, err := s.runAt(goal, want)
		if err != nil || r.n > 0 {
			return s.take(r), err
		}
	}
	best, err := s.search(want)
	if err != nil {
		return run{}, err
	}
	if best.n == 0 {
		return run{}, errFull
	}
	best = s.take(best)
	s.rotor = best.end()
	return best, nil
}

// errFull says that no cluster is free.
var errFull = &diskerr.NoSpaceError{What: "volume", Needed: -1, Available: -1}

// take marks the clusters of r as used. The caller holds mu and the segments
// of r are loaded.
func (s *space) take(r run) run {
	for c := r.first; c < r.end(); c++ {
		g := &s.segments[c/segmentClusters]
		g.used[c%segmentClusters/64] |= 1 << (c % 64)
		g.free--
	}
	return r
}

// runAt returns the free run that begins at c, of at most want clusters and
// within one segment. The caller holds mu.
func (s *space) runAt(c, want uint32) (run, error) {
	g, err := s.load(int(c / segmentClusters))
	if err != nil {
		return run{}, err
	}
	return run{c, freeLength(g.used, c%segmentClusters, want)}, nil
}

// freeLength counts the clear bits of used from bit i on, up to limit.
func freeLength(used []uint64, i, limit uint32) uint32 {
	n := uint32(0)
	for n < limit && i < segmentClusters {
		word := used[i/64] >> (i % 64)
		left := 64 - i%64
		if word == 0 {
			n, i = n+left, i+left
			continue
		}
		n += min(uint32(bits.TrailingZeros64(word)), left)
		break
	}
	return min(n, limit)
}

// nextFree returns the first clear bit of used from i on.
func nextFree(used []uint64, i uint32) (uint32, bool) {
	for i < segmentClusters {
		word := ^used[i/64] >> (i % 64)
		if word != 0 {
			return i + uint32(bits.TrailingZeros64(word)), true
		}
		i = (i/64 + 1) * 64
	}
	return 0, false
}

// search looks for want clusters in one piece from the rotor on, all around.
// It settles for the longest run that it met. The caller holds mu.
func (s *space) search(want uint32) (best run, err error) {
	if s.rotor >= s.clusters+2 {
		s.rotor = 2
	}
	first := int(s.rotor / segmentClusters)
	looked, runs := 0, searchRuns
	for k := 0; k <= len(s.segments); k++ {
		i := (first + k) % len(s.segments)
		if s.segments[i].free == 0 {
			continue
		}
		from := uint32(0)
		if k == 0 {
			from = s.rotor % segmentClusters
		}
		found, err := s.searchSegment(i, from, want, &runs)
		if err != nil {
			return run{}, err
		}
		if found.n > best.n {
			best = found
		}
		if looked++; best.n >= want || best.n > 0 && (looked >= searchSegments || runs <= 0) {
			break
		}
	}
	return best, nil
}

// searchSegment returns the first run of want clusters in segment i from bit
// from on, or the longest among the next few runs, which it counts down. The
// caller holds mu.
func (s *space) searchSegment(i int, from, want uint32, runs *int) (best run, err error) {
	g, err := s.load(i)
	if err != nil {
		return run{}, err
	}
	base := uint32(i) * segmentClusters
	for {
		at, ok := nextFree(g.used, from)
		if !ok {
			return best, nil
		}
		n := freeLength(g.used, at, want)
		if n > best.n {
			best = run{base + at, n}
		}
		if *runs--; n >= want || *runs <= 0 {
			return best, nil
		}
		from = at + n
	}
}

// giveBack makes clusters that the FAT calls free available. The caller holds
// mu.
func (s *space) giveBack(first, n uint32) {
	for c := first; c < first+n; c++ {
		g := &s.segments[c/segmentClusters]
		bit := uint64(1) << (c % 64)
		if g.used == nil {
			if g.free >= 0 {
				g.free++
			}
			continue
		}
		if w := &g.used[c%segmentClusters/64]; *w&bit != 0 {
			*w &^= bit
			g.free++
		}
	}
}

// releaseNow frees a chain that nothing on the medium leads to.
func (s *space) releaseNow(first uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.release(first)
}

// release frees a chain in the FAT. The caller holds mu.
func (s *space) release(first uint32) error {
	return s.table.release(first, func(first, n uint32) {
		s.giveBack(first, n)
		s.net += int64(n)
	})
}

// doom has the next commit free a chain.
func (s *space) doom(first uint32) {
	s.mu.Lock()
	s.doomed = append(s.doomed, first)
	s.mu.Unlock()
}

// waiting reports whether chains wait for a commit to free them.
func (s *space) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.doomed) > 0
}

// hold sets r aside for n. The caller holds mu and took r.
func (s *space) hold(n *node, r run) {
	if r.n == 0 {
		return
	}
	s.reserved[n] = r
	for c := r.first; c < r.end(); c++ {
		s.segments[c/segmentClusters].held++
		s.segments[c/segmentClusters].free++ // by the FAT it is
	}
}

// unhold takes back up to want clusters that were set aside for n, if they
// begin at goal or goal is 0. The caller holds mu.
func (s *space) unhold(n *node, goal, want uint32) run {
	r, ok := s.reserved[n]
	if !ok || goal != 0 && r.first != goal {
		return run{}
	}
	out := run{r.first, min(want, r.n)}
	for c := out.first; c < out.end(); c++ {
		s.segments[c/segmentClusters].held--
		s.segments[c/segmentClusters].free--
	}
	if rest := (run{out.end(), r.n - out.n}); rest.n > 0 {
		s.reserved[n] = rest
	} else {
		delete(s.reserved, n)
	}
	return out
}

// unreserve makes what was set aside for n available again.
func (s *space) unreserve(n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unreserveLocked(n)
}

func (s *space) unreserveLocked(n *node) {
	r := s.unhold(n, 0, s.clusters)
	s.giveBack(r.first, r.n)
}

// unreserveAll is unreserve for every file. It reports whether there was any.
func (s *space) unreserveAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := len(s.reserved) > 0
	for n := range s.reserved {
		s.unreserveLocked(n)
	}
	return any
}

// count returns the number of clusters that the FAT calls free, which takes
// reading all of it once.
func (s *space) count() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := uint32(0)
	for i := range s.segments {
		if s.segments[i].free < 0 {
			if _, err := s.load(i); err != nil {
				return 0, err
			}
		}
		total += uint32(s.segments[i].free)
	}
	return total, nil
}

// counted returns the number of free clusters if it is known without reading.
func (s *space) counted() (free uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.segments {
		if s.segments[i].free < 0 {
			return 0, false
		}
		free += uint32(s.segments[i].free)
	}
	return free, true
}

// hasRoom reports whether n clusters are free. It reads no more of the FAT
// than it takes to tell.
func (s *space) hasRoom(n uint32) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := uint32(0)
	for pass := range 2 { // what is known first
		for i := range s.segments {
			g := &s.segments[i]
			if (g.free < 0) != (pass == 1) {
				continue
			}
			if pass == 1 {
				if _, err := s.load(i); err != nil {
					return false, err
				}
			}
			if found += uint32(g.free - g.held); found >= n {
				return true, nil
			}
		}
	}
	return found >= n, nil
}
