package stack

import (
	"strings"
	"testing"
)

func TestParseFatName(t *testing.T) {
	for _, c := range []struct {
		in   string
		want FatName
	}{
		{"fat:dir", FatName{Dir: "dir"}},
		{"fat:/abs/dir", FatName{Dir: "/abs/dir"}},
		{"fat:12:dir", FatName{Bits: 12, Dir: "dir"}},
		{"fat:rw:32:dir", FatName{Bits: 32, RW: true, Dir: "dir"}},
		{"fat:floppy:12:rw:dir", FatName{Bits: 12, Floppy: true, RW: true, Dir: "dir"}},
		{"fat:16:a:b:c", FatName{Bits: 16, Dir: "a:b:c"}},
		{"fat:a:16:b", FatName{Dir: "a:16:b"}},
		{`fat:rw:C:\games`, FatName{RW: true, Dir: `C:\games`}},
		{"fat:rw", FatName{Dir: "rw"}},
		{"fat:16:./16:x", FatName{Bits: 16, Dir: "./16:x"}},
		{"fat:16:16:x", FatName{Bits: 16, Dir: "x"}},
		{"fat:13:x", FatName{Dir: "13:x"}},
		{"fat: 16:x", FatName{Dir: " 16:x"}},
	} {
		got, err := ParseFatName(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseFatName(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
}

func TestParseFatNameErrors(t *testing.T) {
	for in, want := range map[string]string{
		"dir":           "does not begin",
		"fat:":          "names no directory",
		"fat:rw:":       "names no directory",
		"fat:12:32:x":   "FAT12 and FAT32",
		"fat:16:rw:12:": "FAT16 and FAT12",
	} {
		if got, err := ParseFatName(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseFatName(%q) = %+v, %v; want an error with %q", in, got, err, want)
		}
	}
}

// FuzzParseFatName checks that nothing of a name is lost: the options taken
// and the directory make up the whole of it.
func FuzzParseFatName(f *testing.F) {
	for _, s := range []string{"fat:rw:16:dir", "fat:", "fat:floppy:12:C:\\x", "fat:::", "fat:32:32:d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		n, err := ParseFatName(name)
		if err != nil {
			return
		}
		head, ok := strings.CutSuffix(name, n.Dir)
		if !ok || n.Dir == "" {
			t.Fatalf("%q: directory %q is not its end", name, n.Dir)
		}
		for _, o := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(head, FatPrefix), ":"), ":") {
			switch o {
			case "", "12", "16", "32", "floppy", "rw":
			default:
				t.Fatalf("%q: %q was taken for an option", name, o)
			}
		}
	})
}
