package fat_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// watched is a device without capabilities that tells what is done to it.
type watched struct {
	dev     block.Device
	reads   func(off int64)
	writes  func(off, n int64)
	flushes func()
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	if w.reads != nil {
		w.reads(off)
	}
	return w.dev.ReadAt(p, off)
}

func (w *watched) WriteAt(p []byte, off int64) (int, error) {
	if w.writes != nil {
		w.writes(off, int64(len(p)))
	}
	return w.dev.WriteAt(p, off)
}

func (w *watched) Flush() error {
	if w.flushes != nil {
		w.flushes()
	}
	return w.dev.Flush()
}

func (w *watched) Size() int64  { return w.dev.Size() }
func (w *watched) Close() error { return w.dev.Close() }

// TestFATIsWrittenOnce writes a file in small pieces: each sector of the FATs
// reaches the device once, in long writes, and the file is in one piece.
func TestFATIsWrittenOnce(t *testing.T) {
	dev := &watched{dev: format(t, 64<<20, fat.FormatOptions{Type: 32, ClusterBytes: 512})}
	v := mount(t, dev, fat.Options{WriteBack: -1})
	info, err := v.Info()
	if err != nil {
		t.Fatal(err)
	}
	const size, step = 16 << 20, 8 << 10
	fatsBegin, fatsEnd := int64(info.ReservedSectors)*512, info.DataOffset
	calls, bytes := 0, int64(0)
	dev.writes = func(off, n int64) {
		if off < fatsEnd && off >= fatsBegin {
			calls++
			bytes += n
		}
	}
	f, err := vfs.Create(v, "long")
	if err != nil {
		t.Fatal(err)
	}
	for range size / step {
		if _, err := f.Write(make([]byte, step)); err != nil {
			t.Fatal(err)
		}
	}
	if calls > 4 { // the dirty mark
		t.Errorf("the FATs were written %d times before anything was to be durable", calls)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	entries := int64(size/512) * 4 * 2
	if bytes > entries+8*512 || calls > int(entries/(64<<10))+12 {
		t.Errorf("%d bytes of FATs in %d writes, for entries of %d bytes", bytes, calls, entries)
	}
	fi, err := v.Stat("long")
	if err != nil {
		t.Fatal(err)
	}
	first := int64(fi.Sys().(*fat.Entry).FirstCluster)
	for i := int64(0); i < size/512-1; i += 97 {
		var next [4]byte
		if err := block.ReadFull(dev, next[:], fatsBegin+4*(first+i)); err != nil {
			t.Fatal(err)
		}
		if got := int64(next[0]) | int64(next[1])<<8 | int64(next[2])<<16; got != first+i+1 {
			t.Fatalf("cluster %d of the file is followed by %d", first+i, got)
		}
	}
}

// TestReadsAreParallel has as many reads in the device at one time as there are
// readers: of one file, of several, and while a commit waits for the device.
func TestReadsAreParallel(t *testing.T) {
	const readers = 4
	dev := &watched{dev: format(t, 34<<20, fat.FormatOptions{Type: 32})}
	v := mount(t, dev, fat.Options{WriteBack: -1})
	files := make([]vfs.File, readers)
	for i := range files {
		name := fmt.Sprint("f", i)
		if err := vfs.WriteFile(v, name, make([]byte, 10_000), 0o666); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = v.OpenFile(name, os.O_RDONLY, 0); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
		if _, err := files[i].ReadAt(make([]byte, 1), 0); err != nil { // the chain is known now
			t.Fatal(err)
		}
	}
	for name, file := range map[string]func(i int) vfs.File{
		"of one file":  func(int) vfs.File { return files[0] },
		"of all files": func(i int) vfs.File { return files[i] },
	} {
		if n := together(t, dev, readers, func(i int) error {
			_, err := file(i).ReadAt(make([]byte, 512), 4096)
			return err
		}); n < readers {
			t.Errorf("reads %s: %d of %d at one time", name, n, readers)
		}
	}
	inFlush, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	dev.flushes = func() {
		once.Do(func() {
			close(inFlush)
			<-goOn
		})
	}
	synced := make(chan error, 1)
	go func() { synced <- v.Sync() }()
	<-inFlush
	read := make(chan error, 1)
	go func() {
		_, err := files[0].ReadAt(make([]byte, 512), 0)
		if err == nil {
			_, err = v.Stat("f1")
		}
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a read waits for a commit that waits for the device")
	}
	close(goOn)
	if err := <-synced; err != nil {
		t.Error(err)
	}
}

// together calls fn at the same time, and returns how many calls were in reads
// of the device at one time: each read waits for the others, but not for ever.
func together(t *testing.T, dev *watched, calls int, fn func(i int) error) (most int) {
	var mu sync.Mutex
	all := make(chan struct{})
	inside := 0
	dev.reads = func(int64) {
		mu.Lock()
		inside++
		if most = max(most, inside); inside == calls {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
		case <-time.After(10 * time.Second):
		}
		mu.Lock()
		inside--
		mu.Unlock()
	}
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			if err := fn(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	dev.reads = nil
	return most
}

// heap returns how many bytes of memory are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryBudget uses all of the FAT of a large volume: what a mounted volume
// takes does not grow with it, and a check takes two bits a cluster.
func TestMemoryBudget(t *testing.T) {
	size := int64(1 << 40)
	if testing.Short() {
		size = 256 << 30
	}
	dev, err := file.CreateTemp(t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	info, err := fat.Format(dev, fat.FormatOptions{Type: 32})
	if err != nil {
		t.Fatal(err)
	}
	const budget = 4<<20 + 2<<20 + 2<<20 // FAT pages, bitmap, the rest
	before := heap()
	v := mount(t, dev, fat.Options{WriteBack: -1})
	if _, err := v.Usage(); err != nil { // reads all of the FAT
		t.Fatal(err)
	}
	if err := vfs.WriteFile(v, "file", make([]byte, 1<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := heap() - before; got > budget {
		t.Errorf("a mounted volume of %d clusters takes %d bytes, the budget is %d", info.Clusters, got, budget)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	most := int64(0)
	before = heap()
	r, err := fat.Check(t.Context(), dev, fat.CheckOptions{Progress: func(int, int) { most = max(most, heap()-before) }})
	if err != nil || !r.Clean() {
		t.Fatal(err, findings(r))
	}
	if limit := int64(info.Clusters)/4 + 8<<20; most > limit {
		t.Errorf("a check of %d clusters takes %d bytes, the limit is %d", info.Clusters, most, limit)
	}
}
