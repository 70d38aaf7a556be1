package volume

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// Source is what a volume is made of: a device, a directory of the host or a
// tree. Exactly one of Device, Dir and FS is set.
type Source struct {
	Name     string       // what a person calls it
	Device   block.Device // a medium, which begins with the file system
	Start    int64        // where Device begins on its disk, in bytes
	Dir      string       // a directory of the host
	FS       fs.FS        // any tree; one that is a vfs.FS can be changed, and is closed if it is an io.Closer
	ReadOnly bool         // refuse every change
	// Close, if not nil, gives up what is above. The namespace calls it after an
	// unmount; before a successful mount it is the caller's.
	Close func() error
}

// close gives the source up.
func (s *Source) close() error {
	if s.Close == nil {
		return nil
	}
	return s.Close()
}

// Confidence says how sure a driver is that it can mount a source. The driver
// that is most sure gets it.
type Confidence int

// Usual values. A driver may say anything in between.
const (
	Cannot     Confidence = 0   // it cannot
	LastResort Confidence = 1   // it takes whatever nobody knows
	Likely     Confidence = 50  // some marks are there
	Certain    Confidence = 100 // it is what was asked for
)

// Driver makes volumes of sources. Its methods may be called concurrently. A
// driver may implement [Formatter] and [Checker].
type Driver interface {
	// Name is a word in lower case.
	Name() string
	// Probe looks at a source. saw says in a few words what is there, also if
	// the driver cannot mount it.
	Probe(ctx context.Context, src *Source) (c Confidence, saw string)
	// Mount makes a volume. The tree may implement [Describer], [Labeler] and
	// [ReadOnlyer], and the capabilities of package vfs. If it is an io.Closer,
	// Close makes all changes durable at the unmount; it leaves the source
	// open. ctx bounds the mounting, not the use.
	Mount(ctx context.Context, src *Source) (vfs.FS, error)
}

// FormatOptions are what a person may ask of an empty file system. Zero values
// are the driver's choice.
type FormatOptions struct {
	Type         string // such as "FAT32"
	ClusterBytes int
	Label        string
}

// Formatter is a driver that makes empty file systems.
type Formatter interface {
	Format(ctx context.Context, src *Source, o FormatOptions) error
}

// Checker is a driver that checks file systems, and repairs them.
type Checker interface {
	// Check reports each finding to found. Its error means that the check
	// could not run.
	Check(ctx context.Context, src *Source, repair bool, found func(diskerr.Finding)) error
}

// Description is what a volume says of itself. A field that it does not have is
// empty.
type Description struct {
	Type   string // the file system, such as "FAT16"
	Label  string
	Serial string // such as "1234-ABCD"
}

// Describer is a volume that can tell what it is.
type Describer interface{ Describe() (Description, error) }

// ReadOnlyer is a volume that knows whether it can be changed.
type ReadOnlyer interface{ ReadOnly() bool }

// Labeler is a volume whose label can be changed; "" removes it.
type Labeler interface{ SetLabel(label string) error }

// Registry holds drivers. The zero Registry is empty.
type Registry struct {
	mu      sync.Mutex
	drivers []Driver
	mounted map[string]int // volumes by driver
}

// Register adds a driver. Two of one name are [ErrInUse].
func (r *Registry) Register(d Driver) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lookup(d.Name()) != nil {
		return fmt.Errorf("driver %s: %w", d.Name(), ErrInUse)
	}
	r.drivers = append(r.drivers, d)
	return nil
}

// Unregister takes a driver out. While volumes of it are mounted that is
// [ErrBusy].
func (r *Registry) Unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n := r.mounted[name]; {
	case r.lookup(name) == nil:
		return fmt.Errorf("driver %s: %w", name, fs.ErrNotExist)
	case n > 0:
		return fmt.Errorf("driver %s: %w", name, &busyError{fmt.Sprintf("%d volumes are mounted", n)})
	}
	r.drivers = slices.DeleteFunc(r.drivers, func(d Driver) bool { return d.Name() == name })
	return nil
}

// Drivers returns the names of the drivers, in the order of their registration.
func (r *Registry) Drivers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, d := range r.drivers {
		names = append(names, d.Name())
	}
	return names
}

// lookup returns the driver called name, or nil. The caller holds mu.
func (r *Registry) lookup(name string) Driver {
	for _, d := range r.drivers {
		if d.Name() == name {
			return d
		}
	}
	return nil
}

// unknown is the error about a driver that is not there. The caller holds mu.
func (r *Registry) unknown(name string) error {
	var have []string
	for _, d := range r.drivers {
		have = append(have, d.Name())
	}
	return &sentinel{fmt.Sprintf("there is no driver %s, only %s", name, strings.Join(have, ", ")), fs.ErrNotExist}
}

// take returns the driver for src, which name chooses if it is not "", and
// counts it as used until give.
func (r *Registry) take(ctx context.Context, src *Source, name string) (Driver, error) {
	r.mu.Lock()
	all := slices.Clone(r.drivers)
	none := r.unknown(name)
	r.mu.Unlock()
	if name != "" {
		all = slices.DeleteFunc(all, func(d Driver) bool { return d.Name() != name })
		if len(all) == 0 {
			return nil, none
		}
	}
	best, err := choose(ctx, src, all)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lookup(best.Name()) == nil {
		return nil, r.unknown(best.Name())
	}
	if r.mounted == nil {
		r.mounted = map[string]int{}
	}
	r.mounted[best.Name()]++
	return best, nil
}

// formatter returns the first driver that can make file systems on devices.
func (r *Registry) formatter() (Formatter, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.drivers {
		if f, ok := d.(Formatter); ok {
			return f, true
		}
	}
	return nil, false
}

// give ends a use of a driver.
func (r *Registry) give(d Driver) {
	r.mu.Lock()
	r.mounted[d.Name()]--
	r.mu.Unlock()
}

// choose returns the driver that is most sure of src. Of equals the first wins.
func choose(ctx context.Context, src *Source, all []Driver) (Driver, error) {
	type answer struct {
		d Driver
		c Confidence
	}
	var answers []answer
	var saw []string
	for _, d := range all {
		c, text := d.Probe(ctx, src)
		if c > Cannot {
			answers = append(answers, answer{d, c})
		} else if text != "" {
			saw = append(saw, d.Name()+": "+text)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, &NoDriverError{Saw: saw}
	}
	slices.SortStableFunc(answers, func(a, b answer) int { return cmp.Compare(b.c, a.c) })
	return answers[0].d, nil
}
