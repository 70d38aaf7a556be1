// Package interop judges the fatkit program from outside: with fsck.fat,
// mtools, sfdisk, sgdisk, nbdinfo, nbdcopy, nbdfuse, qemu-img, qemu-io and fio,
// and with the independent reader of test/fatread.
//
// Everything is compared with the host tree itself, or with the image that is
// served. FATKIT_LONG asks for the full counts; without it the largest trees are
// smaller.
package interop
