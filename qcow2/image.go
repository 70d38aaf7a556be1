package qcow2

import (
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Image is an open image: the virtual disk as a block.Device. Its methods may
// be called concurrently, unless they say otherwise.
type Image struct {
	gate        block.Gate
	opts        Options
	file        *container
	backing     block.Device // or nil
	backed      bool         // the image names a backing file, opened or not
	geo         qcow2fmt.Geometry
	compression qcow2fmt.Compression
	size        atomic.Int64
	maps        *mapper
	clusters    *clusterCache // nil if decompressed clusters are not kept
	readOnly    bool
	refs        *refcounts // nil if readOnly

	hdrMu sync.Mutex // held while the header changes
	hdr   *qcow2fmt.Header

	plan     sync.Mutex // see the package's description
	landed   *sync.Cond // on plan: a plan has ended
	plans    []*plan    // under way; guarded by plan
	prepared atomic.Bool
	fixed    *guard // of the tables other than L2 tables; set by prepare

	rounds  block.SyncGroup
	roundMu sync.Mutex // held by a round
	batches []batch    // guarded by roundMu
	pushing sync.Mutex // held while changed tables go to the kernel
	failed  atomic.Pointer[error]
}

var (
	_ block.Device       = (*Image)(nil)
	_ block.Zeroer       = (*Image)(nil)
	_ block.Discarder    = (*Image)(nil)
	_ block.FUAWriter    = (*Image)(nil)
	_ block.FileWriter   = (*Image)(nil)
	_ block.Resizer      = (*Image)(nil)
	_ block.Limiter      = (*Image)(nil)
	_ block.Extenter     = (*Image)(nil)
	_ block.Segmenter    = (*Image)(nil)
	_ block.CachedReader = (*Image)(nil)
)

// Size returns the size of the virtual disk in bytes.
func (img *Image) Size() int64 { return img.size.Load() }

// Geometry returns the image's sizes.
func (img *Image) Geometry() qcow2fmt.Geometry { return img.geo }

// Limits describes the image.
func (img *Image) Limits() block.Limits {
	if img.readOnly {
		return block.Limits{ReadOnly: true, PreferredBlock: img.preferredBlock(), Extents: true}
	}
	return block.Limits{
		PreferredBlock: img.preferredBlock(), Discard: true, Zero: true, FastZero: img.geo.ZeroFlag,
		FUA: true, Extents: true,
	}
}

// preferredBlock is the size of writes for which nothing is copied.
func (img *Image) preferredBlock() int { return int(max(img.geo.SubclusterBytes(), 4096)) }
