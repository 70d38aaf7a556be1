package qcow2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
)

// recorded is a change that a program made to a disk.
type recorded struct {
	op     byte // w writes, z zeroes, f flushes
	off, n int64
}

// readRecording reads a file of testdata.
func readRecording(t testing.TB, name string) []recorded {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".writes"))
	must(t, err)
	defer f.Close()
	var list []recorded
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if fields[0] == "#" {
			continue
		}
		r := recorded{op: fields[0][0]}
		for i, p := range []*int64{&r.off, &r.n} {
			if r.op != 'f' {
				*p, err = strconv.ParseInt(fields[i+1], 0, 64)
				must(t, err)
			}
		}
		list = append(list, r)
	}
	return list
}

// replay makes the recorded changes to dev, each write with bytes of its own.
func replay(t testing.TB, dev block.Device, list []recorded) {
	t.Helper()
	for i, r := range list {
		var err error
		switch r.op {
		case 'w':
			p := make([]byte, r.n)
			for at := 0; at < len(p); at += 8 {
				var word [8]byte
				binary.LittleEndian.PutUint64(word[:], uint64(i)<<32|uint64(at))
				copy(p[at:], word[:])
			}
			_, err = dev.WriteAt(p, r.off)
		case 'z':
			err = block.WriteZeroes(dev, r.off, r.n, 0)
		case 'f':
			err = dev.Flush()
		default:
			t.Fatalf("record %d: %q", i, r.op)
		}
		must(t, err)
	}
}

// TestReplay makes the changes that mkfs.ext4 with e2fsck, and mkfs.xfs with
// xfs_repair, made, and compares the image with plain memory.
func TestReplay(t *testing.T) {
	for _, fs := range []struct {
		name string
		size int64
	}{{"ext4", 64 << 20}, {"xfs", 300 << 20}} {
		list := readRecording(t, fs.name)
		if len(list) < 100 {
			t.Fatalf("%s: %d records", fs.name, len(list))
		}
		want := mem.New(fs.size)
		replay(t, want, list)
		for _, v := range fewVariants() {
			for mode, suffix := range []string{"", "-through"} {
				t.Run(fmt.Sprint(fs.name, "-", v.name, suffix), func(t *testing.T) {
					dev := unclosed{mem.New(0)}
					must(t, Create(dev, fs.size, v.o))
					img, err := Open(dev, Options{Mode: CacheMode(mode), TableCacheBytes: 1, Discard: true})
					must(t, err)
					replay(t, img, list)
					must(t, img.Close())
					r, err := Check(t.Context(), dev)
					must(t, err)
					if !r.Clean() {
						t.Fatalf("%s", brief(r))
					}
					img, err = Open(dev, Options{ReadOnly: true})
					must(t, err)
					sameDisk(t, img, want)
					must(t, img.Close())
				})
			}
		}
	}
}

// sameDisk fails the test unless both devices read the same.
func sameDisk(t testing.TB, a, b block.Device) {
	t.Helper()
	if a.Size() != b.Size() {
		t.Fatalf("%d bytes, want %d", a.Size(), b.Size())
	}
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < a.Size(); off += int64(len(p)) {
		n := min(int64(len(p)), a.Size()-off)
		must(t, block.ReadFull(a, p[:n], off))
		must(t, block.ReadFull(b, q[:n], off))
		if !bytes.Equal(p[:n], q[:n]) {
			t.Fatalf("differs at %d", off+int64(firstDifference(p[:n], q[:n])))
		}
	}
}
