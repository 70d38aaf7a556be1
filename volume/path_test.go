package volume

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		in   string
		dir  string // current directory
		path Path
		name string
	}{
		{`A:\DIR\FILE.TXT`, "x", Path{'A', true, "DIR/FILE.TXT"}, "DIR/FILE.TXT"},
		{"a:/dir/file", "x", Path{'A', true, "dir/file"}, "dir/file"},
		{"a:file.txt", "x/y", Path{'A', false, "file.txt"}, "x/y/file.txt"},
		{"file", ".", Path{0, false, "file"}, "file"},
		{"file", "x", Path{0, false, "file"}, "x/file"},
		{"/mnt/x/file", "y", Path{0, true, "mnt/x/file"}, "mnt/x/file"},
		{`\`, "y", Path{0, true, ""}, "."},
		{"a:", "y", Path{'A', false, ""}, "y"},
		{"z:.", "y", Path{'Z', false, "."}, "y"},
		{"..", "x/y", Path{0, false, ".."}, "x"},
		{`..\..\..\a`, "x/y", Path{0, false, "../../../a"}, "a"},
		{`c:\..\..`, "x", Path{'C', true, "../.."}, "."},
		{`//server//share/`, "x", Path{0, true, "server//share/"}, "server/share"},
		{`a/./b/../c`, "x", Path{0, false, "a/./b/../c"}, "x/a/c"},
		{"1:x", ".", Path{0, false, "1:x"}, "1:x"},
		{"ab:x", ".", Path{0, false, "ab:x"}, "ab:x"},
		{"./a:x", ".", Path{0, false, "./a:x"}, "a:x"},
		{"...", ".", Path{0, false, "..."}, "..."},
	} {
		p, err := ParsePath(c.in)
		if err != nil || p != c.path {
			t.Errorf("ParsePath(%q) is %+v, %v; want %+v", c.in, p, err, c.path)
			continue
		}
		if name, err := p.In(c.dir); err != nil || name != c.name {
			t.Errorf("%q in %q is %q, %v; want %q", c.in, c.dir, name, err, c.name)
		}
	}
	for in, want := range map[string]error{
		"": fs.ErrInvalid, "a\x00b": fs.ErrInvalid, "a\xFFb": fs.ErrInvalid, `c:\a` + "\xC0": fs.ErrInvalid,
		strings.Repeat("x", MaxPathBytes+1): ErrPathTooLong,
	} {
		if p, err := ParsePath(in); !errors.Is(err, want) || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("ParsePath(%.20q) is %+v, %v; want %v", in, p, err, want)
		}
	}
	long := Path{Rest: strings.Repeat("y", MaxPathBytes-10)}
	if _, err := long.In(strings.Repeat("x", 20)); !errors.Is(err, ErrPathTooLong) {
		t.Errorf("a long name in a long directory: %v", err)
	}
}

func TestDeviceName(t *testing.T) {
	for name, want := range map[string]string{
		"nul": "NUL", "NUL": "NUL", "nul.txt": "NUL", "con ": "CON", "con .x.y": "CON", "nul:": "NUL", "com1": "COM1", "LPT9.dat": "LPT9",
		"clock$": "CLOCK$", "conin$": "CONIN$", "aux.c": "AUX", "prn": "PRN",
		"com0": "", "com10": "", "com": "", "lpt": "", "null": "", "xnul": "", "a.nul": "", ".nul": "", "": "", "icon": "", "context": "",
	} {
		if got := deviceName(name); got != want {
			t.Errorf("deviceName(%q) is %q, want %q", name, got, want)
		}
	}
}

// FuzzParsePath checks that no path leaves its volume: whatever was written,
// the name is valid by fs.ValidPath, and a path that is written out again means
// the same.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{`A:\DIR\FILE.TXT`, "a:file", "/mnt/x/../..", `..\..\x`, "//", "c:", "nul", "a/./b//c/", `C:..\é`} {
		f.Add(s, "sub/dir")
		f.Add(s, ".")
	}
	f.Fuzz(func(t *testing.T, s, dir string) {
		if !fs.ValidPath(dir) || len(dir) > 100 || strings.ContainsAny(dir, "\\\x00") {
			return
		}
		p, err := ParsePath(s)
		if err != nil {
			return
		}
		name, err := p.In(dir)
		if err != nil {
			return
		}
		if !fs.ValidPath(name) || strings.Contains(name, `\`) {
			t.Fatalf("%q in %q is %q", s, dir, name)
		}
		if p.Letter != 0 && (p.Letter < 'A' || p.Letter > 'Z') {
			t.Fatalf("%q is on drive %q", s, p.Letter)
		}
		again, err := ParsePath("A:/" + name)
		if err != nil {
			if len(name)+3 > MaxPathBytes {
				return
			}
			t.Fatalf("%q: %v", name, err)
		}
		if got, err := again.In("else/where"); err != nil || got != name {
			t.Fatalf("%q is %q, %v when it is written out", name, got, err)
		}
	})
}
