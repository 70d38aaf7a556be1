package qcow2fmt

// Limits. Those that the format leaves open are QEMU's, so that what one
// program writes the other can open.
const (
	MinClusterBits = 9  // Header, cluster_bits
	MaxClusterBits = 21 // QEMU's limit, noted in Header, cluster_bits

	// MinExtendedClusterBits is the smallest cluster that 32 subclusters of
	// at least 512 bytes fit in (Header, cluster_bits).
	MinExtendedClusterBits = 14

	MaxL1Bytes            = 32 << 20 // Header, size
	MaxRefcountTableBytes = 8 << 20  // Host cluster management
	MaxRefcountOrder      = 6        // Header, refcount_order
	MaxSnapshots          = 65536    // QEMU's limit
	MaxBackingNameBytes   = 1023     // Header, backing_file_size
	MaxBitmaps            = 65535    // Bitmaps extension
	MaxBitmapNameBytes    = 1023     // Bitmap directory, name_size

	// MaxSnapshotTableBytes bounds the snapshot table: QEMU's limit of 1024
	// bytes of extra data and names for each of MaxSnapshots entries.
	MaxSnapshotTableBytes = 1024 * MaxSnapshots
	// MaxSnapshotExtraBytes is QEMU's limit on the extra data of an entry.
	MaxSnapshotExtraBytes = 1024
	// MaxBitmapDirectoryBytes bounds the bitmap directory: the fixed part and the
	// longest name for each of MaxBitmaps entries.
	MaxBitmapDirectoryBytes = 1048 * MaxBitmaps
	// MaxExtensions bounds the number of header extensions; a first cluster
	// of 2 MiB could hold 262,144 empty ones.
	MaxExtensions = 1024

	// MaxOffset is the first offset that no table entry can hold (Cluster
	// mapping: 56 bits).
	MaxOffset = int64(1) << 56
)

// SubclustersPerCluster is the number of subclusters of a cluster with
// extended L2 entries (Extended L2 Entries).
const SubclustersPerCluster = 32

// SectorBytes is the unit in which compressed lengths are counted, and the
// smallest write that this code takes to be atomic.
const SectorBytes = 512
