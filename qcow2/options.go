package qcow2

import "github.com/fatkit/fatkit/block"

// CacheMode says where the data and the mapping of an answered write are.
type CacheMode uint8

const (
	// WriteBack keeps changes of the mapping in memory until a Flush, or until
	// there are many.
	WriteBack CacheMode = iota
	// WriteThrough hands data and mapping to the kernel before a write
	// returns, so that the process may be killed at any moment.
	WriteThrough
)

// Options tune Open.
type Options struct {
	// ReadOnly refuses every change. The file is not written.
	ReadOnly bool
	// Mode is the cache mode of a writable image.
	Mode CacheMode
	// Snapshot opens the internal snapshot with this ID or name instead of
	// the current contents. It implies ReadOnly.
	Snapshot string
	// Backing opens the backing file of an image that has one; see
	// [FileOpener]. Without it such an image is refused.
	Backing BackingOpener
	// NoBacking ignores the backing file: what is not in the image reads as
	// zeroes. Backing is not called.
	NoBacking bool
	// Depth is the number of images above this one in a backing chain. An
	// opener copies it from [BackingRef.Depth].
	Depth int
	// Discard passes freed clusters on to the file, so that its host frees
	// the space.
	Discard bool
	// MaxFileBytes bounds the file. A write that needs more room is
	// diskerr.ErrNoSpace; what has room stays writable. 0 means no bound.
	MaxFileBytes int64
	// TableCacheBytes bounds the memory for L2 tables, and separately that
	// for refcounts. 0 means DefaultTableCacheBytes.
	TableCacheBytes int
	// DataCacheBytes bounds the memory for decompressed clusters. 0 means
	// DefaultDataCacheBytes; negative means none.
	DataCacheBytes int
	// repair lets an image open for writing that is marked dirty or corrupt.
	repair bool
}

// Defaults and limits of Options.
const (
	DefaultTableCacheBytes = 8 << 20
	DefaultDataCacheBytes  = 32 << 20
	minTableSlices         = 16

	// MaxDepth is the greatest number of images in a backing chain.
	MaxDepth = 64
)

// BackingRef is what an image says about its backing file.
type BackingRef struct {
	Name   string // as stored; relative to the place of the image
	Format string // as stored, such as "raw" or "qcow2"; "" if it is not
	Depth  int    // for Options.Depth of the backing image
}

// BackingOpener opens a backing file for reading, or refuses to. The device
// belongs to the image from then on.
type BackingOpener func(BackingRef) (block.Device, error)
