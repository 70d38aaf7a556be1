package fat

import (
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Options tune Open. The zero value opens for reading and writing, with code
// page 437 and local time.
type Options struct {
	// ReadOnly refuses every change. A device that says that it is read-only
	// does so too.
	ReadOnly bool
	// CodePage is the number of the OEM code page of short names and labels; 0
	// means 437.
	CodePage int
	// Location is the time zone of the stamps on the medium; nil means local
	// time, which is the convention.
	Location *time.Location
	// Now is the clock for new stamps; nil means time.Now.
	Now func() time.Time
	// WriteBack is how long a change may wait until it is committed. 0 means 5
	// seconds, negative means until Sync, Close or a full buffer.
	WriteBack time.Duration
}

// defaultWriteBack is how long a change waits, unless Options say otherwise.
const defaultWriteBack = 5 * time.Second

// Limits of what waits for a commit. One that is exceeded starts a commit.
const (
	maxDirtyNodes  = 4096
	maxDirtyBlocks = 4096 // of 512 bytes, held twice
)

// fill sets the fields that stand for a default.
func (o *Options) fill() {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.WriteBack == 0 {
		o.WriteBack = defaultWriteBack
	}
}

// entryTimes are the three stamps of an entry, in the form of the medium.
type entryTimes struct {
	date, clock uint16
	tenths      byte
}

// stamp returns t in the form of the medium.
func (o *Options) stamp(t time.Time) entryTimes {
	var s entryTimes
	s.date, s.clock, s.tenths = fatfmt.EncodeTime(t, o.Location)
	return s
}

// created, modified and accessed set a stamp of e.
func (s entryTimes) created(e *fatfmt.DirEntry) {
	e.CreateDate, e.CreateTime, e.CreateTenths = s.date, s.clock, s.tenths
}

func (s entryTimes) modified(e *fatfmt.DirEntry) { e.WriteDate, e.WriteTime = s.date, s.clock }

func (s entryTimes) accessed(e *fatfmt.DirEntry) { e.AccessDate = s.date }
