// Package vvfat presents a directory tree as a FAT disk without copying it.
//
// It is a pipeline of values, each made from the one before and never changed
// afterwards:
//
//	scan    a directory of the host, or an fs.FS, becomes a Tree
//	layout  a Tree and Options become a Layout: names, clusters, geometry
//	synth   a Layout becomes a Disk, a read-only block.Device
//
// The formats are FAT12, FAT16 and FAT32 (Microsoft "FAT32 File System
// Specification" 1.03, ECMA-107), MBR and GPT (UEFI 2.10 chapter 5).
//
// What it guarantees:
//
//   - The same tree and the same options give the same disk, byte for byte.
//   - Every file is contiguous, so the FAT is computed from the extents and
//     never held; memory is proportional to the number of files, not clusters.
//   - Nothing of the tree is left out without a [Warning] or an error.
//   - A tree and a layout can be saved and made again ([Tree.Encode],
//     [Layout.EncodeHead]); the disk is then the same, byte for byte, as long as
//     [RendererVersion] is.
//   - A host file that changed since the scan fails its reads with
//     diskerr.ErrChanged; the disk never shows half of a change.
//
// Who accepts writes in front of a disk, and moves the files behind it, finds
// out what is where from [Layout.Node], [Layout.OwnerOf] and
// [Layout.Directory], and tells the disk where its files are by a [Locator].
//
// What it does not do: it takes no snapshot of file contents, it notices no
// new files (scan again: that is a new generation), and it accepts no writes.
//
// # Where the bytes are
//
//	| MBR or GPT | gap | boot, FSInfo, backup | FAT 1 | FAT 2 | root¹ | clusters | gap | GPT² |
//
// ¹ FAT12 and FAT16. ² The backup header and table.
//
// Clusters are given out in the order of the tree's nodes: the root's entries,
// then the entries of its first directory, and so on, breadth first and each
// directory in the order of its names' bytes.
//
// # Names
//
// Any name of the host has a place on the disk, by rules that can be undone:
//
//   - Bytes that FAT forbids or that are no UTF-8, and dots and spaces at the
//     end, become private characters (fatfmt.MapName). fatfmt.UnmapName gives
//     the name back without a table.
//   - Of names that differ in case alone the first in the order of bytes keeps
//     its name, which is the one with capitals; the others, and names over 255
//     UTF-16 units, get a hash of the whole name in their own
//     (fatfmt.DistinctName). The layout holds the table of these.
//
// Each such name is a [Warning] of the layout. Short names are given in the
// order of bytes as well, and never equal to a long name of the directory.
//
// # Symbolic links
//
// A link to something within the root is followed: the file or directory
// appears once more, under the link's name and with clusters of its own. A link
// that leads outside is an error, or left out (ScanOptions.Symlinks). A link
// that leads nowhere, to itself or to a directory above itself is left out with
// a warning. What a link leads to is decided once, by the scan; the disk then
// opens the target itself and follows no link.
package vvfat
