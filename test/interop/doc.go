// Package interop judges the fatkit program from outside: with fsck.fat,
// mtools, sfdisk, sgdisk, nbdinfo, nbdcopy, qemu-img and fio, and with the
// independent reader of test/fatread.
//
// Everything is compared with the host tree itself. FATKIT_LONG asks for the
// full counts; without it the largest trees are smaller.
package interop
