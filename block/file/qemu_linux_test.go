package file

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/test/tools"
)

// QEMU is refused while the image is open here for writing, and reads it while
// it is read here.
func TestQEMUIsShutOut(t *testing.T) {
	tools.Need(t, "qemu-io")
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		o       Options
		command []string
		refused bool
	}{
		{"writer here, writer there", Options{Lock: true}, []string{"-c", "write 0 512"}, true},
		{"writer here, reader there", Options{Lock: true}, []string{"-r", "-c", "read 0 512"}, true},
		{"reader here, writer there", Options{Lock: true, ReadOnly: true}, []string{"-c", "write 0 512"}, true},
		{"reader here, reader there", Options{Lock: true, ReadOnly: true}, []string{"-r", "-c", "read 0 512"}, false},
		{"no lock here, writer there", Options{}, []string{"-c", "write 0 512"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(path, c.o)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			args := append([]string{"-f", "raw"}, append(c.command, path)...)
			out, err := exec.Command(tools.Lookup("qemu-io"), args...).CombinedOutput()
			if refused := err != nil; refused != c.refused {
				t.Errorf("refused: %v, want %v\n%s", refused, c.refused, out)
			}
			if c.refused && !strings.Contains(string(out), "lock") {
				t.Errorf("refused for another reason:\n%s", out)
			}
		})
	}
}

// An image that QEMU has open is refused here, as far as the two would harm
// each other.
func TestQEMUShutsOut(t *testing.T) {
	tools.Need(t, "qemu-io")
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		flags         []string
		reader, write error
	}{
		{"writer", nil, ErrLocked, ErrLocked},
		{"reader", []string{"-r"}, nil, ErrLocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := holdOpen(t, append([]string{"-f", "raw"}, append(c.flags, path)...))
			defer stop()
			for _, o := range []Options{{Lock: true, ReadOnly: true}, {Lock: true}} {
				want := c.write
				if o.ReadOnly {
					want = c.reader
				}
				d, err := Open(path, o)
				if !errors.Is(err, want) {
					t.Errorf("%+v: %v, want %v", o, err, want)
				}
				if err == nil {
					if err := block.ReadFull(d, make([]byte, 512), 0); err != nil {
						t.Error(err)
					}
					d.Close()
				}
			}
		})
	}
}

// holdOpen starts qemu-io and returns when it has opened its image. The
// returned function ends it.
func holdOpen(t *testing.T, args []string) (stop func()) {
	t.Helper()
	cmd := exec.Command(tools.Lookup("qemu-io"), args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("length\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "1 MiB") {
	}
	return func() {
		in.Close()
		for lines.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
