package qcow2fmt

import "fmt"

// Validate checks every field of the header against the format and the
// limits, but not against the length of the file.
func (h *Header) Validate() error {
	steps := []func() error{
		h.validateBasics, h.validateFeatures, h.validateL1,
		h.validateRefcountTable, h.validateSnapshots, h.validateBacking,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (h *Header) validateBasics() error {
	if h.Version != 2 && h.Version != 3 {
		return headerError("version", 4, h.Version, "must be 2 or 3")
	}
	if h.ClusterBits < MinClusterBits || h.ClusterBits > MaxClusterBits {
		return headerError("cluster_bits", 20, h.ClusterBits, "must be 9 to 21")
	}
	if h.RefcountOrder > MaxRefcountOrder {
		return headerError("refcount_order", offRefcountOrder, h.RefcountOrder, "must not exceed 6")
	}
	if h.Version == 2 && h.RefcountOrder != 4 {
		return headerError("refcount_order", offRefcountOrder, h.RefcountOrder, "must be 4 in version 2")
	}
	if h.Crypt > CryptLUKS {
		return headerError("crypt_method", 32, h.Crypt, "must be 0, 1 or 2")
	}
	if int64(h.HeaderBytes) > h.Geometry().ClusterBytes() {
		return headerError("header_length", offHeaderBytes, h.HeaderBytes, "reaches past the first cluster")
	}
	return nil
}

func (h *Header) validateFeatures() error {
	if h.Incompatible&IncompatExtendedL2 != 0 && h.ClusterBits < MinExtendedClusterBits {
		return headerError("cluster_bits", 20, h.ClusterBits, "must be at least 14 with extended L2 entries")
	}
	flagged := h.Incompatible&IncompatCompression != 0
	if flagged != (h.Compression != CompressionDeflate) {
		return headerError("compression_type", offCompression, uint8(h.Compression),
			"must be non-zero exactly if the compression type feature bit is set")
	}
	return nil
}

func (h *Header) validateL1() error {
	g := h.Geometry()
	if h.Size > 1<<62 {
		return headerError("size", offSize, h.Size, "must not exceed 2^62")
	}
	if h.L1Entries > MaxL1Bytes/8 {
		return headerError("l1_size", offL1Entries, h.L1Entries, "the L1 table must not exceed 32 MiB")
	}
	if need := g.L1EntriesFor(int64(h.Size)); int64(h.L1Entries) < need {
		return headerError("l1_size", offL1Entries, h.L1Entries,
			fmt.Sprintf("the disk size needs at least %d entries", need))
	}
	if h.L1Entries == 0 && h.L1Offset == 0 {
		return nil
	}
	return validateTable(g, "l1_table_offset", 40, h.L1Offset)
}

func (h *Header) validateRefcountTable() error {
	g := h.Geometry()
	if h.RefcountTableClusters == 0 {
		return headerError("refcount_table_clusters", 56, h.RefcountTableClusters, "an image has a refcount table")
	}
	if int64(h.RefcountTableClusters) > MaxRefcountTableBytes>>h.ClusterBits {
		return headerError("refcount_table_clusters", 56, h.RefcountTableClusters,
			"the refcount table must not exceed 8 MiB")
	}
	return validateTable(g, "refcount_table_offset", offRefcountTable, h.RefcountTableOffset)
}

func (h *Header) validateSnapshots() error {
	if h.Snapshots > MaxSnapshots {
		return headerError("nb_snapshots", 60, h.Snapshots, "must not exceed 65536")
	}
	if h.Snapshots == 0 {
		return nil
	}
	return validateTable(h.Geometry(), "snapshots_offset", 64, h.SnapshotsOffset)
}

func (h *Header) validateBacking() error {
	if h.BackingOffset == 0 {
		return nil
	}
	if h.BackingBytes > MaxBackingNameBytes {
		return headerError("backing_file_size", 16, h.BackingBytes, "must not exceed 1023")
	}
	end := uint64(h.Geometry().ClusterBytes())
	if h.BackingOffset < uint64(h.HeaderBytes) || h.BackingOffset > end || uint64(h.BackingBytes) > end-h.BackingOffset {
		return headerError("backing_file_offset", 8, h.BackingOffset, "the name must lie in the first cluster, after the header")
	}
	return nil
}

// validateTable checks the offset of a table: aligned to a cluster and not
// within the first, which is the header's.
func validateTable(g Geometry, field string, at int64, offset uint64) error {
	switch {
	case offset >= uint64(MaxOffset):
		return headerError(field, at, offset, "must be below 2^56")
	case offset&uint64(g.ClusterBytes()-1) != 0:
		return headerError(field, at, offset, fmt.Sprintf("must be a multiple of the cluster size %d", g.ClusterBytes()))
	case offset == 0:
		return headerError(field, at, offset, "overlaps the header")
	}
	return nil
}
