// Package tools finds and runs the programs that interoperability tests use
// as judges: fsck.fat, mtools, qemu-img, nbdcopy and so on.
//
// A program that is missing skips a test on a laptop and fails it where the
// environment variable CI is set, so that no judge is ever left out unseen.
package tools

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience ends a program that hangs. It is no measure of speed.
const patience = 10 * time.Minute

// packages names the Debian package of a program, for the skip message.
var packages = map[string]string{
	"mkfs.fat": "dosfstools", "fsck.fat": "dosfstools",
	"mcopy": "mtools", "mdir": "mtools", "mtype": "mtools", "mattrib": "mtools", "mshortname": "mtools",
	"nbdinfo": "libnbd-bin", "nbdcopy": "libnbd-bin", "nbdfuse": "libnbd-bin", "nbdkit": "nbdkit", "fio": "fio",
	"qemu-img": "qemu-utils", "qemu-nbd": "qemu-utils", "qemu-io": "qemu-utils",
	"qemu-system-x86_64": "qemu-system-x86", "sfdisk": "fdisk", "sgdisk": "gdisk",
	"mkfs.ext4": "e2fsprogs", "e2fsck": "e2fsprogs", "mkfs.xfs": "xfsprogs", "xfs_repair": "xfsprogs",
	"fusermount3": "fuse3", "umount": "mount", "busybox": "busybox-static", "dpkg": "dpkg", "apt-get": "apt",
	"sqlite3": "sqlite3", "rsync": "rsync", "git": "git", "tar": "tar", "cp": "coreutils",
}

// Lookup returns the path of a program, or "". It also looks where
// administrators' programs are, which the PATH of a user often leaves out.
func Lookup(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	return ""
}

// Need skips the test when one of the programs is missing, and fails it where
// CI is set.
func Need(t testing.TB, names ...string) {
	t.Helper()
	var missing []string
	for _, name := range names {
		if Lookup(name) == "" {
			pkg := packages[name]
			if pkg == "" {
				pkg = "unknown"
			}
			missing = append(missing, name+" (package "+pkg+")")
		}
	}
	if len(missing) > 0 {
		Missing(t, "programs not installed: "+strings.Join(missing, ", ")+"; test/setup.sh installs them")
	}
}

// FUSE says why nothing can be mounted by FUSE on this machine, if so.
func FUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if os.Getuid() != 0 && Lookup("fusermount3") == "" {
		err = errors.New("fusermount3 (package fuse3) is not installed")
	}
	return errors.Join(err, f.Close())
}

// Missing skips the test because of what, and fails it where CI is set.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("left out where CI is set: " + what)
	}
	t.Skip("left out: " + what)
}

// T is what the helpers of tests need of a test. Both *testing.T and *rapid.T
// have it.
type T interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Error(args ...any)
	Fatal(args ...any)
	FailNow()
}

// Result is what a program printed and how it ended.
type Result struct {
	Stdout, Stderr string
	Code           int
	Command        string
}

// Try runs a program and returns its result whatever its exit code is. It
// fails the test if the program cannot be started or hangs.
func Try(t T, name string, args ...string) Result {
	t.Helper()
	return TryEnv(t, nil, name, args...)
}

// TryEnv is Try with additions to the environment.
func TryEnv(t T, env []string, name string, args ...string) Result {
	t.Helper()
	path := Lookup(name)
	if path == "" {
		t.Fatalf("%s is not installed: call Need first", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null"), env...)
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end within %v", cmd, patience)
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), cmd.String()}
}

// Run runs a program that must succeed and returns what it wrote to standard
// output.
func Run(t T, name string, args ...string) string {
	t.Helper()
	r := Try(t, name, args...)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}
