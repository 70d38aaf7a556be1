package interop

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// mountPatience ends the wait for a mount that does not come or go.
const mountPatience = time.Minute

// nbdfuse mounts an export as a file until the end of the test. It needs a
// FUSE that this user may mount with.
func nbdfuse(t *testing.T, uri string, sizeBytes int64) string {
	t.Helper()
	tools.Need(t, "nbdfuse", "umount")
	if os.Getuid() != 0 {
		tools.Need(t, "fusermount3")
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("left out: no FUSE on this machine: %v", err)
	} else {
		f.Close()
	}
	file := emptyImage(t, 0)
	var log bytes.Buffer
	cmd := exec.Command(tools.Lookup("nbdfuse"), file, uri)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { unmount(t, file, cmd, ended) })
	for deadline := time.Now().Add(mountPatience); ; time.Sleep(5 * time.Millisecond) {
		if fi, err := os.Stat(file); err == nil && fi.Size() == sizeBytes {
			return file
		}
		select {
		case err := <-ended:
			ended <- err // for unmount
			t.Fatalf("nbdfuse ended with %v\n%s", err, &log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("nbdfuse does not mount")
		}
	}
}

// unmount ends nbdfuse as a user would.
func unmount(t *testing.T, file string, cmd *exec.Cmd, ended chan error) {
	t.Helper()
	ctl := []string{"umount", file}
	if os.Getuid() != 0 {
		ctl = []string{"fusermount3", "-u", file}
	}
	umountErr := exec.Command(tools.Lookup(ctl[0]), ctl[1:]...).Run()
	select {
	case err := <-ended:
		if umountErr != nil || err != nil {
			t.Errorf("%v ended with %v, nbdfuse with %v", ctl, umountErr, err)
		}
	case <-time.After(mountPatience):
		t.Errorf("%v: %v; nbdfuse does not end", ctl, umountErr)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		<-ended
	}
}

// TestImageNbdfuse reads and writes an image as a plain file.
func TestImageNbdfuse(t *testing.T) {
	img, shadow := rawImage(t, 8)
	s := product.Serve(t, "--rw", img)
	mounted := nbdfuse(t, s.URI, imageBytes)
	checkImage(t, mounted, shadow)
	f, err := os.OpenFile(mounted, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, off := range []int64{0, 1 << 20, 3<<20 + 17, imageBytes - 4096} {
		p := bytes.Repeat([]byte{byte(0x70 + i)}, 4096)
		if _, err := f.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
		copy(shadow[off:], p)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	checkImage(t, img, shadow)
	checkImage(t, mounted, shadow)
}
