// Package fat is the FAT12, FAT16 and FAT32 file system on a block device: it
// formats, mounts, reads, writes, checks and repairs volumes.
//
// It implements the Microsoft "FAT32 File System Specification, FAT: General
// Overview of On-Disk Format", version 1.03, with the additions of Windows NT
// (case bits, the dirty state). The bytes are the business of package
// internal/format/fatfmt; this package says what they mean together.
//
// A [Volume] is a vfs.FS with every capability but links. Names are looked up
// without regard to case; the long name is what a directory lists, the short
// one finds the file too. The medium keeps no owners and no permissions:
// the owner's write bit is the read-only attribute, which forbids to open a
// file for writing and neither to rename nor to remove it. Access dates are
// not updated by reading.
//
// # Order of writes
//
// File data goes to the device at once. Everything else is collected in memory
// and reaches the device in commits: by Sync, by File.Sync, by Close, when too
// much is waiting, and some time after the first change ([Options.WriteBack]).
// A commit writes in this order; "|" is a flush of the device:
//
//	new chains, new directories | links from old chains to new tails
//	| end marks of directories | entries that moved away are removed
//	| ".." of moved directories | entries | ends of shortened chains
//	| freed clusters, FSInfo
//
// Steps with nothing to do cost no flush. A freed cluster is used again only
// after the entry that had it is gone from the medium. So at a power cut, with
// any part of the writes since the last flush lost, torn at 512 bytes or
// reordered:
//
//   - everything that was there at the last Sync is there, unless it was
//     removed or changed since;
//   - no cluster has two owners, no chain is shorter than its file says;
//   - what a check finds is clusters that belong to nothing, chains longer
//     than their files, FAT copies that are not yet equal, a free count that
//     is off, the dirty mark, a label that is not yet the same everywhere, and
//     pieces of long names of more than 195 characters, which do not fit in
//     one sector;
//   - a file or directory that was being moved between two sectors of
//     directories can be without an entry: its old one is marked deleted and
//     otherwise intact, and Check with repair brings it back by that.
//
// The volume is marked dirty, on the medium, before its first change, and
// clean again by Close, if it was clean when it was opened.
//
// # Concurrency
//
// All methods may be called concurrently. Reads of files share no lock but for
// the file's own read lock; names are looked up under a read lock; what
// changes names excludes each other. Locks are taken in this order:
//
//	Volume.commitMu, treeMu, node.writeMu, node.mu, cacheMu, space.mu, table.mu
//
// # Limits
//
// Memory does not grow with the volume: FAT pages, the free-space bitmap and
// directories are caches of bounded size. A directory in use takes up to a few
// MiB. Files are smaller than 4 GiB, directories have at most 65,536 slots.
//
// The package resolves no partition tables for mounting; give it a
// block.Section. It does not lock the device against others.
package fat
