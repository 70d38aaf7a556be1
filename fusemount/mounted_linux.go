package fusemount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// logWriter passes lines of go-fuse on.
type logWriter struct{ to *slog.Logger }

func (w *logWriter) Write(p []byte) (int, error) {
	w.to.Log(context.Background(), slog.LevelWarn, strings.TrimSpace(string(p)))
	return len(p), nil
}

// Find returns the mount point at the path dir, as the kernel knows it.
// [ErrNotMounted] says that it is none of this package's.
func Find(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	// The last part is not looked at: it may be a mount that does not answer.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil && abs != "/" {
		if base := filepath.Join(parent, filepath.Base(abs)); base != abs {
			abs = base
		}
	}
	if target, err := os.Readlink(abs); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(abs), target)
		}
		abs = filepath.Clean(target)
	}
	kind, err := typeOfMount(abs)
	switch {
	case err != nil:
		return "", err
	case kind == "":
		return "", &notMountedError{dir, "nothing is mounted there"}
	case kind != Type:
		return "", &notMountedError{dir, "what is mounted there is no mount of fatkit but of type " + kind + ": use umount"}
	}
	return abs, nil
}

// typeOfMount returns the type of the file system that is mounted on dir, or "".
// Of several the last covers the others; proc(5), "mountinfo".
func typeOfMount(dir string) (kind string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		head, tail, ok := strings.Cut(line, " - ")
		fields := strings.Fields(head)
		if ok && len(fields) > 4 && unescape(fields[4]) == dir {
			kind, _, _ = strings.Cut(tail, " ")
		}
	}
	return kind, nil
}

// unescape undoes what mountinfo does to spaces and the like: \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Owner returns the number of the process behind a mount. [ErrDead] says that
// it has ended.
func Owner(dir string) (int, error) {
	buf := make([]byte, 32)
	n, err := unix.Getxattr(dir, ownerName, buf)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return 0, ErrDead
	case err != nil:
		return 0, place("ask", dir, err)
	}
	return strconv.Atoi(string(buf[:n]))
}

// Sync makes everything durable that was written to a mount.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, unix.ENOTCONN) {
		return ErrDead
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return place("sync", dir, err)
	}
	return place("sync", dir, plain(f.Sync()))
}

// Unmount unmounts what is mounted at dir. One that is in use is [ErrBusy], unless
// flags say otherwise. It does not wait for the end of the program behind it.
func Unmount(dir string, flags UnmountFlags) error {
	point, err := Find(dir)
	if err != nil {
		return err
	}
	return unmount(point, flags)
}

// unmount unmounts a mount point, which is written as the kernel has it.
func unmount(point string, flags UnmountFlags) error {
	if os.Geteuid() != 0 {
		return unmountAsUser(point, flags)
	}
	how := unix.UMOUNT_NOFOLLOW
	if flags&Lazy != 0 {
		how |= unix.MNT_DETACH
	}
	if flags&Force != 0 {
		how |= unix.MNT_FORCE
	}
	err := unix.Unmount(point, how)
	if errors.Is(err, unix.EBUSY) {
		err = ErrBusy
	}
	return place("unmount", point, err)
}

// unmountAsUser lets fusermount unmount, which may do so for the one who mounted.
func unmountAsUser(point string, flags UnmountFlags) error {
	if flags&Force != 0 {
		return place("unmount", point, fmt.Errorf("only root can end a mount by force: %w", syscall.EPERM))
	}
	args := []string{"-u", "--", point}
	if flags&Lazy != 0 {
		args = append([]string{"-z"}, args...)
	}
	bin, err := exec.LookPath("fusermount3")
	if err != nil {
		if bin, err = exec.LookPath("fusermount"); err != nil {
			return place("unmount", point, err)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Stderr = &said
	err = cmd.Run()
	if err == nil {
		return nil
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		err = errors.New(text)
		if strings.Contains(text, "busy") {
			err = ErrBusy
		}
	}
	return place("unmount", point, err)
}
