package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/fatkit/fatkit/block"
)

// Mounts is a set of file systems that are open at the same time. A disk is
// opened once, however often and under whatever name somebody asks for volumes
// of it, since it could not be locked again. Its methods may be called
// concurrently.
type Mounts struct {
	mu    sync.Mutex
	disks []*mountedDisk
}

// mountedDisk is a disk with those of its volumes that are mounted.
type mountedDisk struct {
	*wholeDisk
	id       os.FileInfo // of a file, else nil
	writable bool
	volumes  []*FileSystem
}

// Open returns the volume that name and options mean, which it mounts unless it
// is. The options of the first call for a disk hold for it; it is an error
// to ask for writing then if it was opened for reading.
func (m *Mounts) Open(ctx context.Context, name string, o FileSystemOptions) (*FileSystem, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.disk(ctx, name, &o)
	if err != nil {
		return nil, err
	}
	dev, facts, err := d.volume(&o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	facts.Name = name
	for _, v := range d.volumes {
		if v.Facts.OffsetBytes == facts.OffsetBytes {
			return v, dev.Close()
		}
	}
	v, err := mount(dev, d.dev, facts, o, dev.Close)
	if err != nil {
		return nil, err
	}
	d.volumes = append(d.volumes, v)
	return v, nil
}

// Device returns the bytes that name and options mean, for something that is no
// FAT volume: a partition or what begins at an offset if o.Volume says so, else the
// disk as a whole. Of the disk it is as with Open. Closing the device leaves the
// disk open.
func (m *Mounts) Device(ctx context.Context, name string, o FileSystemOptions) (block.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.disk(ctx, name, &o)
	if err != nil {
		return nil, err
	}
	if o.Volume.Partition == 0 {
		o.Volume.Offset = true
	}
	dev, _, err := d.volume(&o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return dev, nil
}

// disk returns the disk that name means, and says in o whether it is written to.
// The caller holds mu.
func (m *Mounts) disk(ctx context.Context, name string, o *FileSystemOptions) (*mountedDisk, error) {
	var id os.FileInfo
	if !IsURI(name) && !IsFatName(name) {
		id, _ = os.Stat(name) // opening it will tell what is wrong
	}
	for _, d := range m.disks {
		if d.name != name && (id == nil || d.id == nil || !os.SameFile(id, d.id)) {
			continue
		}
		if o.Image.Writable && !d.writable {
			return nil, fmt.Errorf("%s: is open for reading already, as %s", name, d.name)
		}
		o.Image.Writable = d.writable
		return d, nil
	}
	whole, err := openWholeDisk(ctx, name, o)
	if err != nil {
		return nil, err
	}
	d := &mountedDisk{wholeDisk: whole, id: id, writable: o.Image.Writable}
	m.disks = append(m.disks, d)
	return d, nil
}

// Close unmounts all volumes and closes the disks. It returns the errors of all.
func (m *Mounts) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed error
	for _, d := range slices.Backward(m.disks) {
		for _, v := range d.volumes {
			if err := v.Close(); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", v.Facts.Name, err))
			}
		}
		if err := d.Close(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", d.name, err))
		}
	}
	m.disks = nil
	return failed
}
