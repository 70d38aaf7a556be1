// Package writeback carries what a guest writes to a live disk into the
// directory that the disk shows, so that nothing of either is ever lost.
//
//	base (immutable view of one generation)  +  overlay (all that the guest wrote)  =  the disk
//	disk, frozen at an epoch  ->  diff  ->  plan  ->  apply  =  the host's tree
//
// It mirrors, it does not migrate: every sector that the guest wrote stays in
// the overlay until the generation ends, so what a guest reads never depends on
// what became of the host's files, and every commit can be made again from its
// source.
//
//	package   decides
//	overlay   what the disk is at one moment
//	diff      what the guest meant by the sectors it wrote
//	plan      which inodes have to be where, with which contents
//	apply     how to get there without losing anything, at any crash
//	catalog   (remembers what was committed last)
//	statedir  (holds manifest, overlay and journal between runs)
//
// A [Session] runs them for one generation of one disk. docs/ARCHITECTURE.md
// says what holds at each crash point.
package writeback
