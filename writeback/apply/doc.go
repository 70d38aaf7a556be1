// Package apply carries out what a commit decided to change on the host, so
// that a crash at any moment leaves each change done or not done, and nothing of
// the host's lost.
//
// # How
//
// A [Plan] names objects by inode. New files and directories are first made in
// the stage folder and synced ([Stager]), so their inodes are known too, and
// every change of structure is a [Move] of a known inode from one place to
// another: a creation comes out of the stage folder, a deletion goes to the trash, a
// replacement is an exchange with a staged inode whose counterpart then goes to
// the trash or to the kept inodes. The order is
//
//	stage, sync                           (Stager)
//	intent record, sync                   -+
//	moves, patches, rmdirs, attributes     | Execute
//	sync of everything touched             |
//	completion record, sync               -+
//
// # What holds at each crash point
//
//   - Before the intent record: the tree is as it was; the stage folder may hold
//     files that no record names, and [Executor.Sweep] removes them.
//   - After it: each move is judged by where its inode is found. At its
//     destination it is done, at its origin it is to be done, at neither somebody
//     else has moved it. So moves are independent of each other, and Recover may itself be cut
//     at any point and be run again. Patches and attributes are set again.
//   - After the completion record: nothing is left to do.
//
// # What is promised to programs of the host
//
//   - Nothing is replaced or removed but the very inode that the plan names, in the
//     state that the plan names. A name is taken with a rename that refuses
//     to replace, or by an exchange whose counterpart is verified afterwards and put back
//     if it is another. Where the host cannot exchange, the target is moved aside, verified,
//     and its place taken.
//   - When the host's version and the guest's meet, the host's keeps the name and
//     the guest's is placed beside it, or else in the folder of conflicts.
//   - A directory is found by its inode, at the place before or after the plan, and
//     used through an open handle. No path is followed twice.
//   - Contents are patched in place only with a single link, under a lease.
//   - Nothing is removed recursively. Removing an *empty* directory that a host
//     program put in place of the named one in that very instant is
//     possible; it holds nothing.
//
// It does not decide what should change, keeps no catalog, and does not look
// at disks.
package apply
