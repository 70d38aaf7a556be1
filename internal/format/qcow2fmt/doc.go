// Package qcow2fmt turns the structures of the qcow2 image format into Go
// values and back. It implements "Qcow2 Image File Format", the document
// docs/interop/qcow2.rst of QEMU; section names in comments are those of that
// document.
//
// An image file is divided into clusters of 512 bytes to 2 MiB. Everything but
// the header is found by following offsets; all numbers are big-endian.
//
//	cluster 0   header | header extensions | end mark | backing file name
//
//	header --> L1 table --> L2 tables --> guest clusters
//	           8 bytes      8 or 16       plain, or compressed:
//	           an entry     bytes an      a run of bytes that may
//	                        entry         share and cross clusters
//
//	header --> refcount table --> refcount blocks
//	           8 bytes an entry   1, 2, 4 … 64 bits for each host cluster
//
//	header --> snapshot table --> L1 tables of the snapshots
//	bitmaps extension --> bitmap directory --> bitmap tables --> bitmap data
//
// An L1 entry, an L2 entry of a plain and one of a compressed cluster, and
// the second word of an extended L2 entry:
//
//	63 62    56 55                                         9 8        0
//	+--+-------+--------------------------------------------+----------+
//	|C |   0   | offset of the L2 table                     |    0     |
//	+--+--+----+--------------------------------------------+------+---+
//	|C |0 | 0  | offset of the host cluster                 |  0   | Z |
//	+--+--+----+--------------------------------------------+------+---+
//	|0 |1 | further sectors  | x-1       offset in bytes             0 |
//	+--+--+------------------+-----------------------------------------+
//	| 32 bits: subcluster reads as zeroes | 32 bits: it is allocated   |
//	+-------------------------------------+----------------------------+
//
// C is the COPIED flag (the refcount is exactly one), Z the zero flag
// (version 3 without extended L2 entries), x = 62 - (cluster_bits - 8).
//
// Decoders accept any bytes: they return a *diskerr.FormatError that names the
// structure, the field and its offset for what the format forbids, and a
// *diskerr.FeatureError for what it allows and fatkit does not handle. Nothing
// here does I/O; what a structure points at is the business of package qcow2.
package qcow2fmt
