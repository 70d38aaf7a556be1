package stack

import (
	"context"
	"errors"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/vvfat"
)

// Source is something that disks are made of. Its methods may be called
// concurrently.
type Source interface {
	// Path says what the source is, for people and for finding it again: the
	// absolute path of a directory or an image, or the URI of one.
	Path() string
	// BaseName returns the name that an export of the source has when nobody
	// gave it one.
	BaseName() string
	// Generate makes a disk of the source as it is now. If prev is not nil,
	// the disk keeps prev's size, serial numbers and identifiers, and a
	// source that no longer fits is an error matching diskerr.ErrNoSpace. If
	// nothing has changed since prev was made, Generate may return prev
	// itself.
	//
	// report is told of the differences between the source and the disk, also
	// after Generate has returned, for as long as the disk is read. It may be
	// called concurrently.
	Generate(ctx context.Context, prev *Generation, report func(Event)) (*Generation, error)
}

// Event is a difference between a source and its disk.
type Event struct {
	Kind EventKind
	Path string // within the source, slash-separated; the bytes may be anything
	Text string // what is different, and why
}

// EventKind tells events apart.
type EventKind uint8

const (
	// Note says that the disk shows something otherwise or not at all.
	Note EventKind = iota
	// Changed says that a file has changed since the disk was made, so that
	// its reads fail.
	Changed
	// Progress says that something was done as it should be.
	Progress
	// Alarm says that somebody should look.
	Alarm
)

// Generation is a disk made of a source at one moment. It does not change. The
// caller closes it when Device is no longer used.
type Generation struct {
	Device block.Device
	Facts  Facts

	layout  *vvfat.Layout // of a directory: what the next generation is compared with
	release func() error  // gives back what Device stands on; may be nil
	end     func() error  // closes everything, in place of closing Device; may be nil
}

// NewGeneration returns a generation that end closes, device included.
func NewGeneration(device block.Device, layout *vvfat.Layout, facts Facts, end func() error) *Generation {
	return &Generation{Device: device, Facts: facts, layout: layout, end: end}
}

// Close closes the device and what it stands on.
func (g *Generation) Close() error {
	if g.end != nil {
		return g.end()
	}
	err := g.Device.Close()
	if g.release != nil {
		err = errors.Join(err, g.release())
	}
	return err
}

// Facts describe a generation, for status lines and programs.
type Facts struct {
	// Info is of a directory; of an image it holds SizeBytes alone.
	vvfat.Info
	Image    *ImageFacts `json:"image,omitempty"` // nil for a directory
	ESP      bool        `json:"esp"`             // an EFI system partition
	Floppy   bool        `json:"floppy"`
	Warnings int         `json:"warnings"` // things of the source that the disk shows otherwise or not at all
	Scanned  time.Time   `json:"scanned"`  // when the scan ended
	// ScanTime is how long the look at the source took. A generation shows
	// the source as it was at some moments within it.
	ScanTime time.Duration `json:"scan_nanoseconds"`
}
