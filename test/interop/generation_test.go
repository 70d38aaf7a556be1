package interop

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// change writes a file of a tree, with a time of its own so that the host
// notices whatever the resolution of its clock.
func change(t testing.TB, dir, name, text string, when time.Time) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, when, when); err != nil {
		t.Fatal(err)
	}
}

// readClient reads the whole disk of a client with the independent reader.
func readClient(t testing.TB, c *client) *fatread.Tree {
	t.Helper()
	tree, err := fatread.Read(c, c.size, fatread.Options{DecodeShort: decode437})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// later is a time after that of all trees.
func later(n int) time.Time { return trees.BaseTime.Add(time.Duration(n) * time.Hour) }

// TestGenerationWithinIsFixed changes the host while a client is attached: what
// it was shown stays, but for the contents of changed files, which fail.
func TestGenerationWithinIsFixed(t *testing.T) {
	dir := hosttree.Make(t, plainTree(2))
	s := product.Serve(t, "--timezone", "utc", dir)
	c := attach(t, s.Socket)
	before := readClient(t, c)
	change(t, dir, "a new file", "new", later(1))
	change(t, dir, "big.bin", "changed", later(1))
	if err := os.Remove(filepath.Join(dir, "lower.txt")); err != nil {
		t.Fatal(err)
	}
	after, err := fatread.Read(c, c.size, fatread.Options{DecodeShort: decode437, SkipContents: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(after.Order, "\n"), strings.Join(before.Order, "\n"); got != want {
		t.Errorf("the guest sees\n%s\nand saw\n%s", got, want)
	}
	if _, err := after.Bytes("README.TXT"); err != nil {
		t.Errorf("a file that did not change: %v", err)
	}
	_, err = after.Bytes("big.bin")
	var remote remoteError
	if !errors.As(err, &remote) || remote != nbdEIO {
		t.Errorf("a changed file gives %v, want EIO", err)
	}
}

// TestGenerationFollowsOrderlyDisconnect compares what clients see after a
// change of the host, by how the client before them left.
func TestGenerationFollowsOrderlyDisconnect(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		leave func(t *testing.T, c *client)
		fresh bool
	}{
		{"orderly", nil, func(t *testing.T, c *client) { c.leave(t) }, true},
		{"lost connection", nil, func(t *testing.T, c *client) { c.conn.Close() }, false},
		{"refresh never", []string{"--refresh", "never"}, func(t *testing.T, c *client) { c.leave(t) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := hosttree.Make(t, plainTree(1))
			s := product.Serve(t, append(c.args, "--timezone", "utc", dir)...)
			first := attach(t, s.Socket)
			before := readClient(t, first)
			change(t, dir, "a new file", "new", later(1))
			c.leave(t, first)
			second := attach(t, s.Socket)
			after := readClient(t, second)
			if _, there := after.Entries["a new file"]; there != c.fresh {
				t.Errorf("the next client sees the new file: %v, want %v", there, c.fresh)
			}
			if c.fresh {
				hosttree.Compare(t, after, hosttree.Read(t, dir), hosttree.Same)
			}
			checkIdentity(t, before, after)
		})
	}
}

// checkIdentity verifies that the identifiers of a disk have stayed.
func checkIdentity(t testing.TB, a, b *fatread.Tree) {
	t.Helper()
	if a.Disk.SizeBytes != b.Disk.SizeBytes || a.Disk.DiskSignature != b.Disk.DiskSignature || a.Volume.Serial != b.Volume.Serial ||
		a.Volume.Label != b.Volume.Label || a.Volume.Clusters != b.Volume.Clusters {
		t.Errorf("disk %+v, volume %+v became %+v, %+v", a.Disk, a.Volume, b.Disk, b.Volume)
	}
}

// TestRefreshCommand asks for a new generation without a client, with one, and
// for a tree that no longer fits.
func TestRefreshCommand(t *testing.T) {
	dir := hosttree.Make(t, plainTree(1))
	s := product.Serve(t, "--timezone", "utc", "--refresh", "never", "--size", "40M", "--fat", "16", dir)
	refresh := func(want int, args ...string) {
		t.Helper()
		r := tools.TryEnv(t, s.Env(), product.Binary(t), append(append([]string{"refresh"}, args...), dir)...)
		if r.Code != want {
			t.Errorf("%s: exit code %d, want %d\n%s%s", r.Command, r.Code, want, r.Stdout, r.Stderr)
		}
	}
	c := attach(t, s.Socket)
	before := readClient(t, c)
	sees := func(c *client, name string) bool { return readClient(t, c).Entries[name] != nil }

	change(t, dir, "one", "1", later(1))
	refresh(0, "--force")
	if !sees(c, "one") {
		t.Error("the attached client does not see what --force refreshed")
	}
	c.leave(t)

	change(t, dir, "two", "2", later(2))
	refresh(0)
	c = attach(t, s.Socket)
	if !sees(c, "two") {
		t.Error("a new client does not see what was refreshed")
	}
	checkIdentity(t, before, readClient(t, c))
	c.leave(t)

	if err := os.WriteFile(filepath.Join(dir, "huge"), make([]byte, 50<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	refresh(3)
	c = attach(t, s.Socket)
	if sees(c, "huge") || !sees(c, "two") {
		t.Error("a tree that does not fit has replaced the old generation")
	}
	c.leave(t)
	r := tools.TryEnv(t, s.Env(), product.Binary(t), "status", dir)
	if r.Code != 0 || !strings.Contains(r.Stdout, "no new generation") {
		t.Errorf("status: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
