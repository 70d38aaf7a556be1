package fileops

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// volume returns the root of a new volume with files in it, whose content is
// their name.
func volume(t *testing.T, name string, files ...string) Place {
	t.Helper()
	dev := mem.New(1 << 20)
	if _, err := fat.Format(dev, fat.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	v, err := fat.Open(dev, fat.Options{WriteBack: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, f := range files {
		if err := vfs.MkdirAll(v, filepath.ToSlash(filepath.Dir(f)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(v, f, []byte(f), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return Place{FS: v, Path: ".", Tree: name + ":/", Base: "."}
}

func TestGlob(t *testing.T) {
	root := volume(t, "v", "a/One.txt", "a/two.TXT", "b/one.txt", "b/x[1].txt", "b/sub/y", "É.txt")
	for pattern, want := range map[string]string{
		"a/*.txt":    "a/One.txt a/two.TXT",
		"*/ONE.*":    "a/One.txt b/one.txt",
		"[AB]/?ne.*": "a/One.txt b/one.txt",
		"b/x[1].txt": "b/x[1].txt", // there is a file of this name
		"b/*/y":      "b/sub/y",
		"*/sub/y":    "b/sub/y",
		"é*":         "É.txt",
		"none":       "none", // that is for the command to find out
		".":          ".",
	} {
		p := root.Join(pattern)
		found, err := Glob(context.Background(), p)
		var got []string
		for _, f := range found {
			got = append(got, f.Path)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %q", pattern, got, err, want)
		}
	}
	for pattern, want := range map[string]error{"*.none": fs.ErrNotExist, "a/one.txt/*": nil, "[a": nil} {
		found, err := Glob(context.Background(), root.Join(pattern))
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", pattern, found, err)
		}
	}
	dirs := root.Join("*")
	dirs.DirOnly = true
	if found, err := Glob(context.Background(), dirs); err != nil || len(found) != 2 {
		t.Errorf("directories: %v, %v", found, err)
	}
}

func TestHostBase(t *testing.T) {
	for text, want := range map[string]string{"a/b": "b", "a/b/": "b", ".": ".", "..": ".", "a/..": ".", "a/.": ".", "/": ".", "./a": "a"} {
		if got := hostBase(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// list returns the paths in a tree.
func list(t *testing.T, p Place) string {
	t.Helper()
	var names []string
	err := vfs.Walk(context.Background(), p.FS, ".", func(name string, fi fs.FileInfo, err error) error {
		if err == nil && !fi.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// Copies go where those of cp go.
func TestCopyTargets(t *testing.T) {
	src := volume(t, "src", "d/x", "d/sub/y", "f")
	for _, c := range []struct {
		target  string
		slash   bool
		sources []string
		want    string // in the target; "" if it is refused
	}{
		{"new", false, []string{"d"}, "new/sub/y new/x old/z"},
		{"new", true, []string{"d"}, "new/sub/y new/x old/z"},
		{"old", false, []string{"d"}, "old/d/sub/y old/d/x old/z"},
		{"old", false, []string{"f", "d"}, "old/d/sub/y old/d/x old/f old/z"},
		{".", false, []string{"."}, "d/sub/y d/x f old/z"},
		{"g", false, []string{"f"}, "g old/z"},
		{"old/z", false, []string{"f"}, "old/z"},
		{"new", true, []string{"f"}, ""},
		{"old/z", true, []string{"f"}, ""},
		{"old/z", false, []string{"f", "d"}, ""},
		{"new", false, []string{"f", "d"}, ""},
		{"old/z", false, []string{"d"}, ""},
		{"none/x", false, []string{"f"}, ""},
	} {
		dst := volume(t, "dst", "old/z")
		target := dst.Join(c.target)
		target.DirOnly = c.slash
		var sources []Place
		for _, s := range c.sources {
			sources = append(sources, src.Join(s))
		}
		_, err := Copy(t.Context(), target, sources, CopyOptions{Recursive: true, Failed: func(error) {}})
		want := c.want
		if want == "" {
			want = "old/z"
		}
		if got := list(t, dst); (err != nil) != (c.want == "") || got != want {
			t.Errorf("%v to %s: %s, %v; want %q", c.sources, c.target, got, err, c.want)
		}
	}
}

// A source goes after a move only if all of it arrived.
func TestMoveKeepsWhatDidNotArrive(t *testing.T) {
	src, dst := volume(t, "src", "d/x", "d/y", "f"), volume(t, "dst", "d/x")
	var told []string
	o := CopyOptions{NoReplace: true, Failed: func(err error) { told = append(told, err.Error()) }}
	if _, err := Move(t.Context(), dst, []Place{src.Join("d"), src.Join("f"), src.Join("none")}, o); !errors.Is(err, ErrFailed) {
		t.Errorf("a source that is missing: %v", err)
	}
	if got := list(t, dst); got != "d/x d/y f" {
		t.Errorf("target: %s", got)
	}
	if got := list(t, src); got != "d/x d/y" {
		t.Errorf("source: %s", got)
	}
	if len(told) != 1 || !strings.Contains(told[0], "src:/none") {
		t.Errorf("told: %q", told)
	}
}

// An object is the same under its long and its short name.
func TestCopyOntoItself(t *testing.T) {
	root := volume(t, "v", "long directory/a long name.txt")
	for to, from := range map[string]string{
		"LONGDI~1/ALONGN~1.TXT":          "long directory/a long name.txt",
		"long directory/A LONG NAME.TXT": "LONGDI~1/a long name.txt",
		"LONGDI~1/sub":                   "long directory",
	} {
		_, err := Copy(t.Context(), root.Join(to), []Place{root.Join(from)}, CopyOptions{Recursive: true, Whole: true, Failed: func(error) {}})
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s to %s: %v", from, to, err)
		}
	}
	if data, err := fs.ReadFile(root.FS, "LONGDI~1/ALONGN~1.TXT"); err != nil || string(data) != "long directory/a long name.txt" {
		t.Errorf("%q, %v", data, err)
	}
	to, from := root.Join("LONGDI~1/A Long Name.txt"), root.Join("LONGDI~1/ALONGN~1.TXT")
	if _, err := Move(t.Context(), to, []Place{from}, CopyOptions{NoReplace: true, Failed: func(err error) { t.Error(err) }}); err != nil {
		t.Error(err)
	}
	if got := list(t, root); got != "long directory/A Long Name.txt" {
		t.Errorf("after a change of the spelling: %s", got)
	}
}

// A full volume ends a copy, with one error that names what did not fit.
func TestCopyEndsWhenFull(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 2<<20), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	from, closer, err := Host(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closer()
	dst := volume(t, "dst")
	told := 0
	_, err = Copy(t.Context(), dst.Join("d"), []Place{from}, CopyOptions{Recursive: true, Failed: func(error) { told++ }})
	if !errors.Is(err, diskerr.ErrNoSpace) || told != 0 || !strings.Contains(err.Error(), "dst:/d/a") {
		t.Errorf("%v, and %d told", err, told)
	}
	if got := list(t, dst); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

// Places of the host have the names that people wrote.
func TestHost(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"f": "f", "./f": "./f", "new": "new", ".": "./", "./": "./"} {
		t.Chdir(dir)
		p, closer, err := Host(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if p.String() != want {
			t.Errorf("%s is called %s", text, p)
		}
		closer()
	}
	if _, _, err := Host(filepath.Join(dir, "none", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is missing: %v", err)
	}
}
