// Package fatfmt turns the structures of the FAT12, FAT16 and FAT32 file
// systems into Go values and back: boot sector, FSInfo, FAT entries, directory
// entries, long and short names, labels and times. It also plans the geometry
// of new volumes.
//
// It implements the Microsoft "FAT32 File System Specification, FAT: General
// Overview of On-Disk Format", version 1.03 of 6 December 2000, cited in this
// package as "FAT 1.03" with the heading of the section, and for floppies
// ECMA-107. All integers on the medium are little-endian.
//
// A volume is laid out as follows, in sectors:
//
//	0            ReservedSectors                                TotalSectors
//	+------------+-------+-------+------------------+-------------------+
//	| boot       | FAT 1 | FAT n | root directory   | data              |
//	| FSInfo (32)|       |       | (FAT12/16 only)  | clusters 2, 3, …  |
//	| backup (32)|       |       |                  |                   |
//	+------------+-------+-------+------------------+-------------------+
//
// [BootSector] describes it on the medium; [BootSector.Geometry] checks that
// description and gives the normalised [Geometry] that all other code computes
// with; [Plan] makes the Geometry of a new volume.
//
// Decoding never trusts the medium: every decoder accepts any bytes without
// panicking, and what breaks a rule that the reader of a volume depends on is a
// *diskerr.FormatError that names the field. What is merely unusual is data:
// see [BootSector.Unusual].
//
// The package does no I/O and reads no clock; all that it keeps is the code
// pages that were asked for. Values are not safe for concurrent changes;
// functions are safe for concurrent use.
package fatfmt
