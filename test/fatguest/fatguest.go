// Package fatguest is a guest for the tests of what stands between a FAT disk and
// a host: the project's own FAT engine doing random things to a volume, and the
// comparison of the tree that it sees with another.
package fatguest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/vfs"
)

// Read returns what a tree holds: the contents of each file by its path, and
// "" for each directory, whose path ends in a slash.
func Read(t testing.TB, fsys fs.FS) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := vfs.Walk(t.Context(), fsys, ".", func(name string, fi fs.FileInfo, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
		case fi.IsDir():
			out[name+"/"] = ""
		default:
			b, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			out[name] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Difference says how two trees that Read returned differ, a line for each path;
// "" if they do not.
func Difference(want, got map[string]string) string {
	var out []string
	for k, v := range want {
		if g, ok := got[k]; !ok {
			out = append(out, "missing "+k)
		} else if g != v {
			out = append(out, fmt.Sprintf("%s differs: %d bytes, want %d", k, len(g), len(v)))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			out = append(out, "too much "+k)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// Seeds returns how many random runs there are: short, or fifty times as many in
// the long form of the tests.
func Seeds(short int) int {
	if product.Long() {
		return 50 * short
	}
	return short
}

// Step does one random operation on the guest's tree. Names are lower case, as
// short names arrive.
func Step(guest *fat.Volume, tree map[string]string, rnd *rand.Rand) string {
	var files, dirs []string
	for name := range tree {
		if strings.HasSuffix(name, "/") {
			dirs = append(dirs, strings.TrimSuffix(name, "/"))
		} else {
			files = append(files, name)
		}
	}
	sort.Strings(files)
	sort.Strings(dirs)
	dirs = append(dirs, ".")
	pick := func(l []string) string { return l[rnd.IntN(len(l))] }
	fresh := func() string {
		names := []string{"a.txt", "b.txt", "A rather long name of a file.text", "Größe😀", "c", "d.dat", "e", "f"}
		if d := pick(dirs); d != "." {
			return d + "/" + pick(names)
		}
		return pick(names)
	}
	data := make([]byte, rnd.IntN(6000))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	var what string
	var err error
	switch k := rnd.IntN(12); {
	case k < 3 || len(files) == 0:
		what = "write " + fresh()
		err = vfs.WriteFile(guest, what[6:], data, 0o666)
	case k < 4:
		what = "mkdir " + fresh()
		err = guest.Mkdir(what[6:], 0o777)
	case k < 5:
		what = "remove " + pick(files)
		err = guest.Remove(what[7:])
	case k < 7:
		what = "patch " + pick(files)
		err = Patch(guest, what[6:], data, int64(rnd.IntN(8000)))
	case k < 8:
		what = "truncate " + pick(files)
		err = Truncate(guest, what[9:], int64(rnd.IntN(7000)*rnd.IntN(2)))
	case k < 10:
		from, to := pick(files), fresh()
		what = "rename " + from + " " + to
		err = guest.Rename(from, to)
	case k < 11:
		from, to := pick(dirs), fresh()
		what = "rename dir " + from + " " + to
		err = guest.Rename(from, to)
	default:
		name := pick(dirs)
		if name == "." {
			return "nothing"
		}
		what = "removeall " + name
		err = guest.RemoveAll(name)
	}
	if err != nil {
		what += " (" + err.Error() + ")"
	}
	return what
}

// Patch writes p at an offset of a file that is there.
func Patch(g *fat.Volume, name string, p []byte, off int64) error {
	return withFile(g, name, func(f vfs.File) error {
		_, err := f.WriteAt(p, off)
		return err
	})
}

// Truncate changes the size of a file in bytes.
func Truncate(g *fat.Volume, name string, n int64) error {
	return withFile(g, name, func(f vfs.File) error { return f.Truncate(n) })
}

func withFile(g *fat.Volume, name string, do func(vfs.File) error) error {
	f, err := g.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}
