package mount

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// fatkit runs the program and returns what it wrote to standard output. It must
// succeed.
func fatkit(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(product.Binary(t), args...)
	said, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("fatkit %q: %v\n%s", args, err, exit.Stderr)
	}
	must(t, err)
	return said
}

// mounted mounts something by the program and returns where, and the number of the
// process behind it.
func mounted(t *testing.T, args ...string) (dir string, pid int) {
	t.Helper()
	needFUSE(t)
	parent := t.TempDir()
	dir = filepath.Join(parent, "mnt")
	must(t, os.Mkdir(dir, 0o777))
	t.Cleanup(func() { tools.UnmountBelow(parent) })
	var r struct{ PID int }
	must(t, json.Unmarshal(fatkit(t, append(append([]string{"mount", "--json"}, args...), dir)...), &r))
	return dir, r.PID
}

// gone waits for the end of a process.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// image makes an image with a volume.
func image(t *testing.T) string {
	t.Helper()
	needFUSE(t)
	img := filepath.Join(t.TempDir(), "disk.img")
	fatkit(t, "mkfs", "--type", "32", "--size", "64M", img)
	return img
}

// A server that goes away gives errors, and nothing hangs.
func TestServerGoesAway(t *testing.T) {
	notShort(t)
	needFUSE(t)
	img := image(t)
	s := product.Serve(t, "--rw", img)
	dir, pid := mounted(t, "--rw", s.URI)
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, text(100_000), 0o666))
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	must(t, f.Sync())
	must(t, s.Stop())
	if _, err := f.WriteAt(text(8192), 0); err == nil {
		err = f.Sync()
		want(t, "fsync without a server", err, syscall.EIO)
	} else {
		want(t, "a write without a server", err, syscall.EIO)
	}
	want(t, "a new file without a server", os.Mkdir(filepath.Join(dir, "d"), 0o777), syscall.EIO)
	f.Close()
	// It says that not everything is on the disk, and the mount has ended.
	if said, err := exec.Command(product.Binary(t), "umount", dir).CombinedOutput(); err == nil {
		t.Errorf("umount without a server succeeded: %s", said)
	}
	gone(t, pid)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after umount: %v", err)
	}
}

// A mount whose process was killed is cleaned up, and what was synced is there.
func TestKilled(t *testing.T) {
	notShort(t)
	tools.Need(t, "fsck.fat")
	img := image(t)
	dir, pid := mounted(t, "--rw", img)
	file := filepath.Join(dir, "file")
	f, err := os.Create(file)
	must(t, err)
	_, err = f.Write(text(50_000))
	must(t, err)
	must(t, f.Sync())
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	gone(t, pid)
	f.Close()
	_, err = os.Stat(file)
	want(t, "the mount of a killed process", err, syscall.ENOTCONN)
	fatkit(t, "umount", dir)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after umount: %v", err)
	}
	got := fatkit(t, "cat", img+":/file")
	if string(got) != string(text(50_000)) {
		t.Errorf("after the kill the file holds %d bytes", len(got))
	}
}

// A signal ends a mount in use when it is not used any more, and everything is in
// the image.
func TestSignal(t *testing.T) {
	notShort(t)
	tools.Need(t, "fsck.fat")
	img := image(t)
	dir, pid := mounted(t, "--rw", img)
	f, err := os.Create(filepath.Join(dir, "file"))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGTERM))
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "file")); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the mount does not leave the tree")
		}
	}
	_, err = f.WriteString("written after the signal")
	must(t, err)
	must(t, f.Close())
	gone(t, pid)
	if got := fatkit(t, "cat", img+":/file"); string(got) != "written after the signal" {
		t.Errorf("the file holds %q", got)
	}
	tools.Run(t, "fsck.fat", "-n", img)
}

// Of two mounts for writing the second is refused.
func TestLocked(t *testing.T) {
	notShort(t)
	img := image(t)
	dir, _ := mounted(t, "--rw", img)
	if said, err := exec.Command(product.Binary(t), "mount", "--rw", img, t.TempDir()).CombinedOutput(); err == nil {
		t.Errorf("mounted twice for writing: %s", said)
	}
	fatkit(t, "umount", dir)
}
