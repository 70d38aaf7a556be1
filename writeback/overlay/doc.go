// Package overlay is the disk that a guest writes to: a base that never changes,
// and a qcow2 image that holds every sector the guest wrote.
//
//	read   sectors that were written from the image, all others from the base
//	write  to the image, which never takes anything from the base
//
// The image has clusters of 16 KiB with extended L2 entries, so that a
// subcluster is one sector of 512 bytes: allocated means written by the guest. A
// write that covers a sector in part completes that one sector from the base.
//
// # Durability
//
// A write is answered when its data and its mapping are with the kernel
// (qcow2.WriteThrough): a killed process loses no answered write. Flush and
// WriteAtFUA are answered when everything is durable.
//
// # Epochs
//
// [Disk.Freeze] begins an [Epoch], a view of one moment that stays as it is
// while the guest goes on, and the list of the sectors written since the epoch
// before. All that it shows is durable when Freeze returns. A later write first
// moves the old bytes of its sectors aside:
//
//	sector at the freeze     what the writer does before it writes      what the epoch reads
//	not written by the guest  notes that it is the base's: moved         the base
//	in the image              copies it to the side file: aside, moved   the side file
//
// A reader of the epoch reads the live disk and then looks at the notes, which
// a writer makes before it writes; so no reader waits for a writer. The side
// file has no name and dies with the process; after a restart everything in
// the image counts as written, and a new epoch is taken.
//
// # Room
//
// The image may have a limit, and the file system must keep some room free.
// At either a write that needs a new cluster fails with diskerr.ErrNoSpace, before
// anything is changed. Clusters that are in the image stay writable, and so does
// what the caller calls metadata, for which the reserve is there: a guest can
// delete files and unmount.
//
// # What it does not do
//
// Discard succeeds and changes nothing: a file system's claim that it does not
// need some bytes is no change of them. Nothing is ever dropped from the image.
package overlay
