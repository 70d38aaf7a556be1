package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// imageBytes is the size of the raw images, which is no multiple of much.
const imageBytes = 12<<20 + 512

// rawImage writes an image of random bytes with holes and returns its path and
// what it holds.
func rawImage(t testing.TB, seed byte) (path string, want []byte) {
	t.Helper()
	want = make([]byte, imageBytes)
	// A ChaCha8 never fails to read.
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(want)
	path = filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(imageBytes); err != nil {
		t.Fatal(err)
	}
	for off := 0; off < imageBytes; off += 2 << 20 {
		middle, end := min(off+1<<20, imageBytes), min(off+2<<20, imageBytes)
		if _, err := f.WriteAt(want[off:middle], int64(off)); err != nil {
			t.Fatal(err)
		}
		clear(want[middle:end])
	}
	return path, want
}

// emptyImage makes an image of nothing but zeroes.
func emptyImage(t testing.TB, sizeBytes int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, sizeBytes); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkImage fails unless a file holds the bytes.
func checkImage(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%s has %d bytes, expected %d", path, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: byte %d is %#x, expected %#x", path, i, got[i], want[i])
		}
	}
}

// qemuIO runs commands of qemu-io on an export. It says "failed" where bytes
// are not those that a command names.
func qemuIO(t testing.TB, uri string, commands ...string) {
	t.Helper()
	args := []string{"-f", "raw"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if out := tools.Run(t, "qemu-io", append(args, uri)...); strings.Contains(out, "failed") {
		t.Errorf("qemu-io %q:\n%s", commands, out)
	}
}

// TestImageQemuIO writes an image with every command of qemu-io that changes
// one, beside a shadow of what it should hold.
func TestImageQemuIO(t *testing.T) {
	tools.Need(t, "qemu-io")
	img, shadow := rawImage(t, 1)
	s := product.Serve(t, "--rw", img)
	for _, step := range []struct {
		command string
		off, n  int
		fill    byte
	}{
		{"write -P 0x5a", 1000, 100_001, 0x5a},
		{"write -f -P 0x5b", 1 << 20, 1 << 20, 0x5b},
		{"write -z -u", 2 << 20, 1 << 20, 0},
		{"write -z", 5<<20 + 7, 3333, 0},
		{"write -z -f -u", 4<<20 + 1, 5000, 0},
		// A trim may leave anything; in a file that has holes fatkit makes one.
		{"discard", 6 << 20, 1 << 20, 0},
		{"write -P 0x5c", 6 << 20, 1 << 20, 0x5c},
		{"aio_write -P 0x5d", 8<<20 + 3, 2 << 20, 0x5d},
		{"write -P 0x5e", imageBytes - 512, 512, 0x5e},
	} {
		c := fmt.Sprintf("%s %d %d", step.command, step.off, step.n)
		qemuIO(t, s.URI, c, "aio_flush", "flush", fmt.Sprintf("read -P %d %d %d", step.fill, step.off, step.n))
		copy(shadow[step.off:], bytes.Repeat([]byte{step.fill}, step.n))
		checkImage(t, img, shadow)
	}
	if r := tools.Try(t, "qemu-io", "-f", "raw", "-c", fmt.Sprintf("write %d 512", imageBytes), s.URI); r.Code == 0 {
		t.Errorf("a write beyond the end succeeds: %s%s", r.Stdout, r.Stderr)
	}
	checkImage(t, img, shadow)
}

// TestImageReadOnly checks that without --rw nobody writes.
func TestImageReadOnly(t *testing.T) {
	tools.Need(t, "qemu-io", "qemu-img", "nbdcopy")
	img, want := rawImage(t, 2)
	other, _ := rawImage(t, 3)
	s := product.Serve(t, img)
	qemuImgCompare(t, s.URI, img)
	for _, c := range [][]string{
		{"qemu-io", "-f", "raw", "-c", "write 0 512", s.URI},
		{"qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", other, s.URI},
		{"nbdcopy", other, s.URI},
	} {
		if r := tools.Try(t, c[0], c[1:]...); r.Code == 0 {
			t.Errorf("%s succeeds", r.Command)
		}
	}
	checkImage(t, img, want)
}

// qemuImgCompare compares two raw disks by all their bytes.
func qemuImgCompare(t testing.TB, a, b string) {
	t.Helper()
	tools.Run(t, "qemu-img", "compare", "-s", "-f", "raw", "-F", "raw", a, b)
}

// TestImageQemuImg converts into an image and out of it, and compares.
func TestImageQemuImg(t *testing.T) {
	tools.Need(t, "qemu-img")
	from, want := rawImage(t, 4)
	img, _ := rawImage(t, 5)
	s := product.Serve(t, "--rw", img)
	if r := tools.Try(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", s.URI, from); r.Code != 1 {
		t.Errorf("different disks compare with exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	tools.Run(t, "qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", from, s.URI)
	checkImage(t, img, want)
	qemuImgCompare(t, s.URI, from)
	for _, format := range []string{"raw", "qcow2"} {
		out := filepath.Join(t.TempDir(), "out")
		tools.Run(t, "qemu-img", "convert", "-f", "raw", "-O", format, s.URI, out)
		tools.Run(t, "qemu-img", "compare", "-f", "raw", "-F", format, s.URI, out)
		tools.Run(t, "qemu-img", "compare", "-f", "raw", "-F", format, from, out)
	}
}

// TestImageQemuBench checks that what qemu-img bench writes, with flushes
// between and durable, is what the image holds.
func TestImageQemuBench(t *testing.T) {
	tools.Need(t, "qemu-img")
	const size = 2 << 20
	img := emptyImage(t, size)
	s := product.Serve(t, "--rw", img)
	for fill, options := range map[byte][]string{
		0x31: {"-s", "4096", "-d", "32"},
		0x32: {"-s", "4096", "-d", "32", "--flush-interval=64"},
		0x33: {"-s", "65536", "-d", "8", "-t", "writethrough"},
		0x34: {"-s", "512", "-d", "1", "-t", "unsafe"},
	} {
		var block int
		if _, err := fmt.Sscan(options[1], &block); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"bench", "-f", "raw", "-w", fmt.Sprintf("--pattern=%d", fill), "-c", fmt.Sprint(size / block)}, options...)
		tools.Run(t, "qemu-img", append(args, s.URI)...)
		checkImage(t, img, bytes.Repeat([]byte{fill}, size))
	}
	tools.Run(t, "qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "64", "-s", "4096", s.URI)
}

// TestImageNbdcopy copies into an image and out of it, and reads its map.
func TestImageNbdcopy(t *testing.T) {
	tools.Need(t, "nbdcopy", "nbdinfo")
	from, want := rawImage(t, 6)
	img, _ := rawImage(t, 7)
	s := product.Serve(t, "--rw", img)
	for _, options := range [][]string{nil, {"--synchronous"}, {"--destination-is-zero", "--flush"}, {"--allocated"}} {
		if err := os.Truncate(img, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(img, imageBytes); err != nil {
			t.Fatal(err)
		}
		tools.Run(t, "nbdcopy", append(options, from, s.URI)...)
		checkImage(t, img, want)
		out := filepath.Join(t.TempDir(), "out")
		tools.Run(t, "nbdcopy", s.URI, out)
		checkImage(t, out, want)
	}
	var totals []struct{ Size int64 }
	if err := json.Unmarshal([]byte(tools.Run(t, "nbdinfo", "--json", "--map", "--totals", s.URI)), &totals); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, e := range totals {
		sum += e.Size
	}
	if sum != imageBytes {
		t.Errorf("the totals of the map are %d bytes, expected %d", sum, imageBytes)
	}
}

// TestImageFioVerify has fio write through four connections and check what it
// wrote, and finds the same bytes in the image with fio's engine of files.
func TestImageFioVerify(t *testing.T) {
	tools.Need(t, "fio")
	img := emptyImage(t, 16<<20)
	s := product.Serve(t, "--rw", img)
	for _, options := range [][]string{{"--rw=write"}, {"--rw=randwrite"}, {"--rw=randwrite", "--verify_backlog=64"}} {
		common := []string{
			"--name=verify", "--bs=4k-64k", "--iodepth=32", "--size=4M", "--numjobs=4",
			"--offset_increment=4M", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--randseed=7",
		}
		tools.Run(t, "fio", append(append(common, options...), "--ioengine=nbd", "--uri="+s.URI, "--do_verify=1")...)
	}
	// The last pass is of blocks that overlap nothing, so that the image can be
	// verified after the fact.
	last := []string{"--name=verify", "--rw=write", "--bs=16k", "--size=16M", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0"}
	tools.Run(t, "fio", append(last, "--ioengine=nbd", "--uri="+s.URI, "--iodepth=16")...)
	tools.Run(t, "fio", append(last, "--ioengine=psync", "--filename="+img, "--verify_only")...)
}
