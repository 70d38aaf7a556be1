// Package stack turns names into disks: what a person writes on a command
// line becomes a source that the layers above serve, build or inspect.
//
// A name is one of
//
//	a directory              shown as a FAT disk; [Directory]
//	fat:[16:][floppy:]DIR    likewise, in QEMU's form; [ParseFatName]
//	a file or block device   an image; [Image]
//	nbd://HOST/EXPORT        an image on an NBD server; also nbds, nbd+unix, nbds+unix
//
// [KindOf] tells them apart. [Directory] joins the scan, the layout and the
// disk of package vvfat, so that everything that shows a directory shows the
// same disk, byte for byte. [OpenImage] stacks devices up to the one that is
// meant:
//
//	file or URI  ->  format (raw, qcow2)  ->  partition or offset  ->  copy-on-write
//
// [OpenFileSystem] goes on to the FAT volume, which it finds by itself in a disk
// with or without partition table, and refuses to guess where there are several;
// [Mounts] keeps several of them open and each disk open once. [ParseLocation]
// reads what people write for a place in one, such as disk.img:/docs/a.txt.
//
// The format of an image is what the caller says, else what the suffix of its
// name says, else raw. Contents alone never decide: an image whose first bytes
// disagree with its name is an error, [MagicError], because a guest that may
// write to a raw disk could otherwise choose what the host opens next.
//
// The package decides nothing about who may use a disk and when it changes;
// that is internal/server's part.
package stack
