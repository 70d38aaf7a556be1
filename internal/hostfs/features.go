package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
)

// Features are the abilities of a host that writing to it builds on.
type Features struct {
	NoReplace bool // rename that refuses a name that is taken
	Exchange  bool // rename that swaps two names
	Link      bool // hard links
	Lease     bool // leases on files
	Reflink   bool // clones that share their room
	UserXattr bool // extended attributes of users
	Birth     bool // birth times
}

// Names that Probe uses. They are removed before it begins and when it ends.
const (
	probeA = ".fatkit-probe-a"
	probeB = ".fatkit-probe-b"
)

// Probe finds out what the file system of d can do, by doing it in d, which
// should be a folder of fatkit's own. An error means that it cannot even make
// files there.
func Probe(d Dir) (Features, error) {
	for _, name := range []string{probeA, probeB} {
		if err := d.Unlink(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Features{}, err
		}
	}
	f, err := probe(d)
	for _, name := range []string{probeA, probeB} {
		if gone := d.Unlink(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return f, err
}

func probe(d Dir) (f Features, err error) {
	a, err := d.Create(probeA, 0o600)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if _, err := a.WriteAt(make([]byte, 4096), 0); err != nil {
		return f, err
	}
	id, err := a.Identity()
	if err != nil {
		return f, err
	}
	f.Birth = id.Btime != NoTime
	f.UserXattr = a.SetXattr("user.fatkit.probe", []byte{1}) == nil
	if a.Lease() == nil {
		f.Lease = a.Release() == nil
	}
	if err := f.probeClone(d); err != nil {
		return f, err
	}
	// Both names exist here.
	f.NoReplace = errors.Is(d.Rename(probeA, d, probeB, NoReplace), fs.ErrExist)
	f.Exchange = d.Rename(probeA, d, probeB, Exchange) == nil
	if err := d.Unlink(probeB); err != nil {
		return f, fmt.Errorf("after a rename that cannot have happened: %w", err)
	}
	f.Link = d.Link(probeA, d, probeB) == nil
	return f, nil
}

// probeClone makes probeB and tries to clone probeA into it.
func (f *Features) probeClone(d Dir) error {
	src, err := d.Open(probeA)
	if err != nil {
		return err
	}
	b, err := d.Create(probeB, 0o600)
	if err == nil {
		f.Reflink, err = b.CloneFrom(src)
		err = errors.Join(err, b.Close())
	}
	return errors.Join(err, src.Close())
}
