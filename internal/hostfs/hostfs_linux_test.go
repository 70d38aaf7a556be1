package hostfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The walk in steps is what remains where openat2 does not exist; it must
// refuse and find the same.
func TestOpenSteps(t *testing.T) {
	dir, r := tree(t, "a/b/c")
	if err := os.Symlink("a", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"a/b/c": true, "a/b": true, ".": true, "l/b/c": false, "l": false, "a/x": false} {
		fd, err := r.openSteps(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		if ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}

// A path longer than the kernel takes at once is walked.
func TestLongPath(t *testing.T) {
	_, r := tree(t)
	part := strings.Repeat("d", 200)
	at := r.fd
	var parts []string
	for range 30 {
		if err := unix.Mkdirat(at, part, 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Openat(at, part, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if at != r.fd {
			unix.Close(at)
		}
		at, parts = fd, append(parts, part)
	}
	fd, err := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	unix.Close(at)
	f, _, err := r.Open(strings.Join(parts, "/") + "/f")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestPipeDoesNotBlock(t *testing.T) {
	dir, r := tree(t)
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Open("pipe"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("pipe: %v", err)
	}
}

// A cached read and the checks around it are the hot path of serving.
func TestHotPathAllocates(t *testing.T) {
	_, r := tree(t, "file")
	f, _, err := r.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 4)
	if n := testing.AllocsPerRun(100, func() {
		f.Stat()
		f.ReadAt(p, 0)
		f.ReadAtCached(p, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
