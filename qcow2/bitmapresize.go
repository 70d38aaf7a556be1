package qcow2

import (
	"encoding/binary"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Offsets of fields within an entry of the bitmap directory that are changed by
// one write of eight bytes each (Bitmap directory): the place of the table, and
// its size with the flags behind it.
const (
	bitmapTableAt = 0
	bitmapSizeAt  = 8
)

// holdBitmaps marks the bitmaps that are good as in use while the size of the
// disk changes, and returns them. In such a bitmap the size may be outdated
// (Bitmap directory, flags), so a power cut leaves it useless and the image
// sound. The caller holds plan.
func (img *Image) holdBitmaps() ([]bitmap, error) {
	list, err := readBitmaps(img.file, img.hdr)
	if err != nil {
		return nil, err
	}
	var good []bitmap
	for _, b := range list {
		if b.Flags&qcow2fmt.BitmapInUse == 0 {
			good = append(good, b)
		}
	}
	for _, b := range good {
		if err := img.writeBitmapSize(b, b.TableEntries, b.Flags|qcow2fmt.BitmapInUse); err != nil {
			return nil, err
		}
	}
	if len(good) > 0 {
		err = img.file.sync()
	}
	return good, err
}

// fitBitmaps gives the bitmaps that holdBitmaps marked the size for a disk that
// had oldBytes and has newBytes, and takes the mark off. Bits for what the disk
// gained are zero.
func (img *Image) fitBitmaps(held []bitmap, oldBytes, newBytes int64) error {
	img.plan.Lock()
	defer img.plan.Unlock()
	for _, b := range held {
		have, need := int64(b.TableEntries), img.bitmapEntries(b, newBytes)
		if have != img.bitmapEntries(b, oldBytes) {
			continue // it does not fit the disk that it was for
		}
		table, err := img.readBitmapTable(b)
		if err == nil {
			err = img.clearBitmapTail(b, table, min(oldBytes, newBytes))
		}
		if err == nil && need > have {
			err = img.growBitmap(b, table, need)
		}
		if err == nil {
			err = img.settleBitmap(b, table, need)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bitmapEntries returns how many entries the table of a bitmap has on a disk of
// sizeBytes: one for each cluster of bits.
func (img *Image) bitmapEntries(b bitmap, sizeBytes int64) int64 {
	perCluster := img.geo.ClusterBytes() * 8
	return (bitmapBits(b, sizeBytes) + perCluster - 1) / perCluster
}

// bitmapBits returns how many bits a bitmap has on a disk of sizeBytes.
func bitmapBits(b bitmap, sizeBytes int64) int64 {
	if sizeBytes == 0 {
		return 0
	}
	return (sizeBytes-1)>>b.GranularityBits + 1
}

func (img *Image) readBitmapTable(b bitmap) ([]qcow2fmt.BitmapTableEntry, error) {
	p := make([]byte, int64(b.TableEntries)*8)
	if err := img.file.readTable(p, int64(b.TableOffset), "bitmap table"); err != nil {
		return nil, err
	}
	table := make([]qcow2fmt.BitmapTableEntry, b.TableEntries)
	for i := range table {
		table[i] = qcow2fmt.BitmapTableEntry(binary.BigEndian.Uint64(p[i*8:]))
	}
	return table, nil
}

// clearBitmapTail clears the bits behind the end of a disk of sizeBytes in the
// last cluster of bits that it has, so that they mean nothing when it grows.
func (img *Image) clearBitmapTail(b bitmap, table []qcow2fmt.BitmapTableEntry, sizeBytes int64) error {
	bits, perCluster := bitmapBits(b, sizeBytes), img.geo.ClusterBytes()*8
	i := bits / perCluster
	if bits %= perCluster; bits == 0 || table[i].Offset() == 0 {
		return nil
	}
	p := make([]byte, img.geo.ClusterBytes()-bits/8)
	at := table[i].Offset() + bits/8
	if err := img.file.readTable(p, at, "bitmap data"); err != nil {
		return err
	}
	p[0] &= 1<<(bits%8) - 1 // bit i is bit i%8 of byte i/8
	clear(p[1:])
	return img.file.writeAt(p, at)
}

// growBitmap makes room for need entries of a bitmap's table, the new ones zero:
// in its last cluster, or in a new place. The size that is recorded stays.
func (img *Image) growBitmap(b bitmap, table []qcow2fmt.BitmapTableEntry, need int64) error {
	p := make([]byte, need*8)
	for i, e := range table {
		binary.BigEndian.PutUint64(p[i*8:], uint64(e))
	}
	have := img.geo.Clusters(int64(len(table)) * 8)
	clusters := img.geo.Clusters(need * 8)
	if clusters <= have {
		return img.file.writeAt(p, int64(b.TableOffset))
	}
	run, err := img.refs.allocateTable(clusters)
	if err != nil {
		return err
	}
	at := run.first << img.geo.ClusterBits
	if err := img.file.writeAt(p, at); err != nil {
		return err
	}
	if err := img.syncRefcounts(); err != nil {
		return img.fail(err)
	}
	var field [8]byte
	binary.BigEndian.PutUint64(field[:], uint64(at))
	if err := img.writeDurably(field[:], b.off+bitmapTableAt); err != nil {
		return img.fail(err)
	}
	old := release{first: int64(b.TableOffset) >> img.geo.ClusterBits, n: have}
	b.TableOffset = uint64(at)
	return img.refs.drop(old)
}

// settleBitmap records the number of entries, takes the mark off, and frees what
// lies behind the last entry.
func (img *Image) settleBitmap(b bitmap, table []qcow2fmt.BitmapTableEntry, need int64) error {
	if err := img.file.sync(); err != nil {
		return img.fail(err)
	}
	if err := img.writeBitmapSize(b, uint32(need), b.Flags); err != nil {
		return err
	}
	if err := img.file.sync(); err != nil {
		return img.fail(err)
	}
	bits, have := img.geo.ClusterBits, int64(len(table))
	for _, e := range table[min(need, have):] {
		if e.Offset() == 0 {
			continue
		}
		if err := img.refs.drop(release{first: e.Offset() >> bits, n: 1}); err != nil {
			return err
		}
	}
	kept := img.geo.Clusters(need * 8)
	if gone := img.geo.Clusters(have*8) - kept; gone > 0 {
		return img.refs.drop(release{first: int64(b.TableOffset)>>bits + kept, n: gone})
	}
	return nil
}

// writeBitmapSize writes the number of entries and the flags of a bitmap.
func (img *Image) writeBitmapSize(b bitmap, entries, flags uint32) error {
	var p [8]byte
	binary.BigEndian.PutUint32(p[:], entries)
	binary.BigEndian.PutUint32(p[4:], flags)
	return img.file.writeAt(p[:], b.off+bitmapSizeAt)
}

// releaseBitmaps takes the mark of holdBitmaps off bitmaps of a disk whose size
// did not change after all.
func (img *Image) releaseBitmaps(held []bitmap) error {
	for _, b := range held {
		if err := img.writeBitmapSize(b, b.TableEntries, b.Flags); err != nil {
			return err
		}
	}
	return nil
}

// errNoBits refuses a disk without bytes, for which a bitmap could have no
// table.
var errNoBits = &diskerr.FeatureError{Format: formatName, Names: []string{"a disk of 0 bytes with bitmaps"}}
