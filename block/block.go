// Package block defines byte-addressed disks and what they can do beyond
// reading and writing.
//
// A [Device] is the smallest disk. What a device can do better than the
// obvious way it says by implementing an optional interface ([Zeroer],
// [Discarder], [FUAWriter], [Extenter], [Segmenter], [FileWriter],
// [CachedReader], [Limiter]); a consumer never asks for that interface but
// calls the package function of the same purpose ([WriteZeroes], [Discard],
// [WriteAtFUA], [AppendExtents], [AppendSegments], [WriteFile],
// [ReadAtCached], [LimitsOf]), which falls back safely. [errors.ErrUnsupported]
// from a capability means "nothing changed, use the fallback".
//
// A wrapper of a device implements every capability by calling these
// functions. It never embeds a Device and never unwraps one, because a promoted
// method would bypass the wrapper.
//
// [Section] is a window of a device, such as a partition. [Cursor] is a device
// as an io.ReadWriteSeeker. [Extents] walks what a device knows of its bytes.
// [Gate], [SyncGroup] and [ClipRead] are the parts that most devices are built
// from.
//
// The sub-packages hold devices (file, mem, overlay), copying between devices
// (copy), a conformance suite that every device must pass (blocktest), an
// error-injecting wrapper (fault) and a simulator of power cuts (crash).
package block

import "io"

// Device is a byte-addressed disk. All methods may be called concurrently;
// overlapping concurrent writes land in an unspecified order.
//
// ReadAt and WriteAt follow io.ReaderAt and io.WriterAt: they transfer len(p)
// bytes or return an error. At the end of the device they differ. A read that
// reaches past it returns the bytes before it with io.EOF; one that stops
// exactly there returns nil, and so does an empty read there. A write that
// reaches past the end changes nothing and returns diskerr.ErrOutOfRange, as
// does anything at a negative offset. [ClipRead] and [CheckRange] implement
// this.
//
// After Close every method but Size returns fs.ErrClosed, also Close itself.
// Segments handed out before stay valid until they are released.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Size returns the size in bytes. It changes only through the image's own
	// Resize, which is refused while the image is exported.
	Size() int64
	// Flush makes every write that returned before Flush was called durable.
	// After a failed Flush a device refuses writes until it is reopened.
	Flush() error
	// Close refuses new calls, lets those under way finish and flushes.
	io.Closer
}

// Extent describes a run of bytes of a device.
type Extent struct {
	Off   int64 // bytes from the start of the device
	Len   int64 // bytes, more than 0
	Flags ExtentFlags
}

// ExtentFlags say what is known of an extent. The values are those of the
// base:allocation context of the NBD protocol ("Metadata querying").
type ExtentFlags uint32

const (
	// Hole marks bytes that occupy no space in the backing store.
	Hole ExtentFlags = 1 << iota
	// Zero marks bytes that read as zeroes.
	Zero
)

// ZeroFlags tune WriteZeroes.
type ZeroFlags uint8

const (
	// NoHole asks that the range stay allocated.
	NoHole ZeroFlags = 1 << iota
	// FastOnly asks to fail with errors.ErrUnsupported, changing nothing,
	// when zeroing would be no faster than writing zeroes.
	FastOnly
)

// Limits is what a device says of itself. The zero value stands for a
// read-write device of no particular block size.
type Limits struct {
	ReadOnly       bool
	MinBlock       int // bytes, a power of two; 0 means 1
	PreferredBlock int // bytes, a power of two; 0 means unknown (4096 is a good guess)
	MaxTransfer    int // bytes of one ReadAt or WriteAt; 0 means no limit

	// Which capabilities are real, not fallbacks. A wrapper implements all of
	// them, so only these fields tell.
	Discard  bool // Discard frees space
	Zero     bool // WriteZeroes is better than writing zeroes
	FastZero bool // WriteZeroes with FastOnly can succeed
	FUA      bool // WriteAtFUA is better than WriteAt and Flush
	Extents  bool // AppendExtents knows more than "all data"
}
