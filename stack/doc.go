// Package stack turns names into disks: what a person writes on a command
// line becomes a source that the layers above serve, build or inspect.
//
// A name is a directory, or a directory in QEMU's form ("fat:16:rw:DIR").
// [Directory] joins the scan, the layout and the disk of package vvfat, so
// that everything that shows a directory shows the same disk, byte for byte.
//
// The package decides nothing about who may use a disk and when it changes;
// that is internal/server's part.
package stack
