package fatfmt

import "fmt"

// Type is the width of a FAT, in bits of one entry. The zero Type stands for
// "not decided".
type Type uint8

// The FAT types.
const (
	FAT12 Type = 12
	FAT16 Type = 16
	FAT32 Type = 32
)

// Limits of the cluster count of each type: FAT 1.03, "FAT Type
// Determination". A FAT12 volume has fewer than minFAT16 clusters, a FAT16
// volume fewer than minFAT32.
const (
	minFAT16 = 4085
	minFAT32 = 65525

	// maxFAT32 is the largest count whose last cluster number stays below the
	// bad-cluster mark 0x0FFFFFF7.
	maxFAT32 = 0x0FFFFFF5
)

// TypeOf returns the type of a volume with so many data clusters. The count
// alone decides: FAT 1.03, "FAT Type Determination".
func TypeOf(clusters uint32) Type {
	switch {
	case clusters < minFAT16:
		return FAT12
	case clusters < minFAT32:
		return FAT16
	}
	return FAT32
}

// MaxClusters returns the largest count of data clusters that a volume of this
// type can have.
func (t Type) MaxClusters() uint32 {
	switch t {
	case FAT12:
		return minFAT16 - 1
	case FAT16:
		return minFAT32 - 1
	case FAT32:
		return maxFAT32
	}
	panic("fatfmt: no FAT type: " + t.String())
}

// MinClusters returns the smallest count of data clusters that makes a volume
// of this type.
func (t Type) MinClusters() uint32 {
	switch t {
	case FAT12:
		return 1
	case FAT16:
		return minFAT16
	case FAT32:
		return minFAT32
	}
	panic("fatfmt: no FAT type: " + t.String())
}

// String returns "FAT12", "FAT16" or "FAT32".
func (t Type) String() string {
	switch t {
	case FAT12, FAT16, FAT32:
		return fmt.Sprintf("FAT%d", uint8(t))
	case 0:
		return "FAT"
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}
