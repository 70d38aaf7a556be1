package overlay

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/fatkit/fatkit/diskerr"
)

// TestRoom fills an overlay up to its limit, and a file system to its reserve.
func TestRoom(t *testing.T) {
	const size = 1 << 20
	var free int64
	for _, o := range []Options{
		{LimitBytes: 10 * clusterBytes},
		{ReserveBytes: 1 << 20, FreeBytes: func() (int64, error) { return free, nil }},
	} {
		free = 1 << 30
		o.IsMetadata = func(off, n int64) bool { return off+n <= 4*clusterBytes }
		d, _ := openNew(t, size, o)
		for i := range int64(10) {
			write(t, d, size-(i+1)*clusterBytes, 512, 7)
		}
		free = o.ReserveBytes
		d.room.budget.Store(0)
		_, err := d.WriteAt(make([]byte, 512), size/2)
		if !errors.Is(err, diskerr.ErrNoSpace) {
			t.Fatalf("beyond the limit: %v", err)
		}
		if p := contents(t, d); !bytes.Equal(p[size/2:size/2+512], pattern(size)[size/2:size/2+512]) {
			t.Error("a refused write changed something")
		}
		write(t, d, size-clusterBytes, clusterBytes, 8) // has its room
		write(t, d, 0, 4*clusterBytes, 9)               // metadata
		must(t, d.WriteZeroes(size/2, size/4, 0))       // takes none
		if a := d.Activity(); a.Refused != 1 || a.UsedBytes != 14*clusterBytes {
			t.Errorf("%+v", a)
		}
		must(t, d.Close())
	}
}

// TestCharge fills a file system with what will be carried elsewhere, too: until
// the epoch has ended that counts, and within the limit metadata has its room.
func TestCharge(t *testing.T) {
	const size = 1 << 20
	free := int64(8 * clusterBytes)
	d, _ := openNew(t, size, Options{
		FreeBytes: func() (int64, error) { return free, nil },
		Charge:    func(_, n int64, _ bool) int64 { return n },
	})
	for i := range int64(2) {
		write(t, d, i*clusterBytes, clusterBytes, 7)
	}
	free -= 2 * clusterBytes
	refused := func(n int64) bool {
		d.room.budget.Store(0)
		_, err := d.WriteAt(make([]byte, n), size/2)
		if err != nil && !errors.Is(err, diskerr.ErrNoSpace) {
			t.Fatal(err)
		}
		return err != nil
	}
	if !refused(3 * clusterBytes) { // of 6 that are free 2 are spoken for
		t.Error("there was no room for another write")
	}
	e, err := d.Freeze(t.Context())
	must(t, err)
	free -= 2 * clusterBytes // a commit has placed them
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		time.Sleep(3 * askPeriod)
		must(t, e.Commit())
	}()
	if refused(clusterBytes) { // waits for the commit
		t.Error("there was room after the commit")
	}
	<-ended
	free -= clusterBytes
	d.SetDebt(3 * clusterBytes)
	if !refused(2 * clusterBytes) {
		t.Error("a debt does not count")
	}
	must(t, d.Close())
	d, _ = openNew(t, size, Options{
		LimitBytes: 10 * clusterBytes, MetadataBytes: 4 * clusterBytes,
		IsMetadata: func(off, n int64) bool { return off+n <= 4*clusterBytes },
	})
	for i := range int64(6) {
		write(t, d, size/2+i*clusterBytes, clusterBytes, 7)
	}
	if _, err := d.WriteAt(make([]byte, 512), size-512); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("the room of metadata was given away: %v", err)
	}
	write(t, d, 0, 4*clusterBytes, 8)
	if a := d.Activity(); a.UsedBytes != a.LimitBytes {
		t.Errorf("%+v", a)
	}
	must(t, d.Close())
}
