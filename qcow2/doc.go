// Package qcow2 reads, writes, creates, checks and repairs images in QEMU's
// qcow2 format. It implements "Qcow2 Image File Format" (QEMU,
// docs/interop/qcow2.rst) on top of package qcow2fmt, which holds the
// structures and draws them.
//
// An [Image] is a [block.Device] inside another one: the file, which may grow
// (block.Resizer) or not.
//
// # What is handled
//
// Versions 2 and 3, clusters of 512 bytes to 2 MiB, refcounts of every width,
// extended L2 entries with subclusters, zero clusters, compressed clusters
// (deflate and zstd), backing files, internal snapshots (read, never damaged).
// Encryption and external data files are refused by name.
//
// # Order of writing
//
// A power cut at any moment leaves an image in which every reference is
// counted; at worst some clusters are counted and not referenced (leaks).
// What was flushed is there. This follows from four rules:
//
//   - A cluster's refcount is durable before anything refers to it.
//   - Data, copied data and new tables are durable before anything refers to
//     them.
//   - A refcount drops after the change that dropped the reference is durable.
//   - A table that moves is written and durable before the header points to it.
//
// Changes of the mapping are collected in memory and go out in rounds
// (flush.go): refcounts, sync, tables, sync, and then clusters become free. A
// round runs when Flush is called or when too much was collected. That is the
// cache mode [WriteBack]. In [WriteThrough] every write hands its data and its
// mapping to the kernel before it returns, so that a killed process loses no
// answered write. There clusters come from a reserve whose refcounts are
// durable in advance, which keeps the rules without a sync for each write; a
// killed process leaks what is left of the reserve. After a power cut a sector
// that was written and not flushed may read as zeroes in this mode, beside its
// old and its new contents.
//
// # Locks
//
// Image.plan serialises decisions about the mapping: which cluster goes where.
// It is held while tables and refcounts are read, never while data moves.
// mapper.mu guards the cached tables and is never held over I/O, so reads and
// writes of allocated clusters wait for nobody. refcounts.mu guards refcounts
// and is held over their I/O. They are taken in this order: roundMu,
// plan, pushing, refcounts.mu, mapper.mu.
//
// # What it does not do
//
// It never looks at the contents of a file to find out its format, and opens
// nothing that an image names: backing files come from an opener that the
// caller gives ([Options.Backing]). Persistent bitmaps are not updated: an
// enabled bitmap is marked as inconsistent before the first write. The others
// follow when the disk changes its size.
package qcow2
