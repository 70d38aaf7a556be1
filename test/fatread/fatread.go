// Package fatread is an independent, strict reader of FAT12, FAT16 and FAT32
// disks for tests. It is the judge of what the rest of the project writes, so
// it shares no code with it: it imports neither internal/format nor any engine
// and decodes MBR, GPT, boot sector, FAT, directories and long names on its
// own, from the Microsoft "FAT32 File System Specification" 1.03 (cited as
// FAT), ECMA-107 and the UEFI Specification 2.10, section 5 (GPT).
//
// [Read] walks the whole volume and returns its [Tree]. It is stricter than
// any guest: it reports every rule of the specification that the disk breaks,
// such as FAT copies that differ, chains of the wrong length, cross-links,
// lost clusters, counts in FSInfo that are off, a backup boot sector that is
// not one, long names without their short name, wrong dot entries and names
// that occur twice. What it reports is a [Problems] error; the tree beside it
// holds whatever could still be read.
//
// It does not write, repair or guess, and it reads all file contents to hash
// them. Every loop is bounded by the size of the disk, so hostile disks end
// in problems, not in hangs.
package fatread

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Limits on what a disk may ask of the reader.
const (
	maxProblems  = 50      // problems kept; more are counted only
	maxDepth     = 4096    // nested directories
	maxFATBytes  = 1 << 30 // bytes of one FAT copy: 2^28 entries of FAT32
	maxDirSlots  = 65536   // directory entries, FAT section 6.1: 2 MiB of 32 bytes
	maxNameUnits = 255     // UTF-16 units of a long name, FAT section 7.1
	maxGPTBytes  = 1 << 20 // bytes of a partition entry array
)

// Options choose what is read and how.
type Options struct {
	// Partition is the number of the partition to read, from 1. 0 takes the
	// only partition of a partitioned disk, or the whole disk without a table.
	Partition int
	// LBABytes is the sector size that partition tables count in; 0 means 512.
	LBABytes int64
	// DecodeShort turns the raw bytes of a short name that has no long name
	// into text. nil accepts ASCII only and reports other bytes.
	DecodeShort func([]byte) string
	// LeadByte tells the first bytes of two-byte characters in short names; the
	// second may be any byte from 0x40. nil means that there are none.
	LeadByte func(byte) bool
	// Used says that a guest has written to the disk since it was made. Guests
	// leave the counts in the backup of FSInfo as they were.
	Used bool
	// SkipContents leaves file contents unread and their hashes zero.
	SkipContents bool
}

// Tree is a volume and everything in it.
type Tree struct {
	Disk    Disk
	Volume  Volume
	Entries map[string]*Entry // by slash-separated path without leading slash; the root is not in it
	Order   []string          // the paths in the order of the disk, a directory before its contents

	r *reader
}

// Entry is a file or a directory.
type Entry struct {
	Path     string
	Name     string // long name, or the short name in the case its bits ask for
	Short    string // 8.3 in upper case, such as "README~1.TXT"
	HasLong  bool   // the name is stored as a long name
	Dir      bool
	Attr     byte // attribute byte, FAT section 6
	Size     int64
	Hash     [sha256.Size]byte // of the contents; zero for directories
	Clusters []uint32          // first cluster of each contiguous run
	Created  time.Time         // wall clock on the medium, given as UTC; zero when unset
	Modified time.Time
	Accessed time.Time // a date only

	first uint32
}

// Attribute bits of [Entry.Attr], FAT section 6.
const (
	AttrReadOnly  = 0x01
	AttrHidden    = 0x02
	AttrSystem    = 0x04
	AttrVolumeID  = 0x08
	AttrDirectory = 0x10
	AttrArchive   = 0x20
	attrLongName  = 0x0F
	attrLongMask  = 0x3F
)

// Problems are the broken rules that a disk was found with.
type Problems struct {
	List  []string // the first ones
	Count int      // all of them
}

func (p *Problems) Error() string {
	s := fmt.Sprintf("%d problems:\n\t%s", p.Count, strings.Join(p.List, "\n\t"))
	if p.Count > len(p.List) {
		s += "\n\t…"
	}
	return s
}

// reader is the state of one Read.
type reader struct {
	disk     io.ReaderAt // the whole disk
	vol      io.ReaderAt // the volume
	volBytes int64
	o        Options
	v        Volume
	fat      []byte
	used     []uint64 // a bit for each cluster that a chain passed
	problems Problems
	tree     *Tree
}

// Read reads the disk r of sizeBytes bytes. A disk that could be walked but
// breaks rules gives both a tree and a [*Problems] error; any other error
// means that there is no volume to walk.
func Read(r io.ReaderAt, sizeBytes int64, o Options) (*Tree, error) {
	if o.LBABytes == 0 {
		o.LBABytes = 512
	}
	rd := &reader{disk: r, o: o, tree: &Tree{Entries: map[string]*Entry{}}}
	rd.tree.r = rd
	if err := rd.readTable(sizeBytes); err != nil {
		return nil, err
	}
	if err := rd.readBoot(); err != nil {
		return nil, err
	}
	if err := rd.readFATs(); err != nil {
		return nil, err
	}
	if err := rd.walk(); err != nil {
		return nil, err
	}
	rd.checkUsage()
	rd.tree.Volume = rd.v
	if rd.problems.Count > 0 {
		return rd.tree, &rd.problems
	}
	return rd.tree, nil
}

// problem notes a broken rule.
func (rd *reader) problem(format string, args ...any) {
	rd.problems.Count++
	if len(rd.problems.List) < maxProblems {
		rd.problems.List = append(rd.problems.List, fmt.Sprintf(format, args...))
	}
}

// ClusterOffset returns where a cluster begins on the disk, in bytes.
func (t *Tree) ClusterOffset(c uint32) int64 {
	var start int64
	for _, p := range t.Disk.Partitions {
		if p.Number == t.Disk.Chosen {
			start = p.StartBytes
		}
	}
	return start + t.Volume.dataOffset + int64(c-2)*t.Volume.ClusterBytes
}

// Open returns the contents of a file of the tree.
func (t *Tree) Open(path string) (io.Reader, error) {
	e := t.Entries[path]
	if e == nil || e.Dir {
		return nil, fmt.Errorf("fatread: no file %q", path)
	}
	return t.r.contents(e), nil
}

// Bytes returns the whole contents of a file of the tree.
func (t *Tree) Bytes(path string) ([]byte, error) {
	r, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// readFull reads exactly len(p) bytes at off.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
}
