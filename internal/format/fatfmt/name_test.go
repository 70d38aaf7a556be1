package fatfmt

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestValidateName(t *testing.T) {
	for _, name := range []string{"a", "A B.c d", ".bashrc", " leading", "con", "+,;=[]", "é漢💾", "a\x7Fb", strings.Repeat("x", 255), strings.Repeat("💾", 127)} {
		if err := ValidateName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, tc := range []struct{ name, want string }{
		{"", "empty"}, {".", "ends with"}, {"..", "ends with"}, {"a.", "ends with"}, {"a ", "ends with"}, {"a\x1Fb", "control"},
		{"a\xFF", "UTF-8"}, {strings.Repeat("x", 256), "255"}, {strings.Repeat("💾", 128), "255"}, {"a\uFFFF", "holds"},
		{`a"`, "holds"}, {"a*", "holds"}, {"a/b", "holds"}, {"a:", "holds"}, {"a<", "holds"}, {"a>", "holds"}, {"a?", "holds"}, {`a\b`, "holds"}, {"a|", "holds"},
	} {
		var ne *NameError
		err := ValidateName(tc.name)
		if !errors.As(err, &ne) || !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v", tc.name, err)
		}
	}
}

func TestFoldKey(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"readme", "README", true}, {"ÀÉ", "àé", true}, {"ß", "SS", false}, {"Жж", "жЖ", true}, {"a", "b", false}, {"a", "ab", false},
		{"漢", "漢", true}, {"A1", "a1", true}, {"ÿ", "Ÿ", true}, {"", "", true}, {"𐐨", "𐐀", true},
	} {
		if got := FoldKey(tc.a) == FoldKey(tc.b); got != tc.same {
			t.Errorf("FoldKey: %q, %q: %v", tc.a, tc.b, got)
		}
		if got := EqualNames(tc.a, tc.b); got != tc.same {
			t.Errorf("EqualNames: %q, %q: %v", tc.a, tc.b, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if EqualNames(a, b) != (FoldKey(a) == FoldKey(b)) || !EqualNames(a, FoldKey(a)) {
			t.Fatalf("%q, %q", a, b)
		}
	})
	if n := testing.AllocsPerRun(10, func() { FoldKey("README.TXT") }); n != 0 {
		t.Errorf("%v allocations for a name in upper case", n)
	}
}

func TestTrimAndDeviceNames(t *testing.T) {
	for in, want := range map[string]string{"a. . ": "a", ".": ".", "..": "..", "...": "", "a.b": "a.b", " a": " a"} {
		if got := TrimName(in); got != want {
			t.Errorf("TrimName(%q) is %q", in, got)
		}
	}
	for name, want := range map[string]bool{"con": true, "NUL.txt": true, "lpt1": true, "COM9.a.b": true, "com0": false, "com10": false,
		"console": false, "aux ": true, "a.con": false, "": false} {
		if IsDeviceName(name) != want {
			t.Errorf("IsDeviceName(%q) is %v", name, !want)
		}
	}
}

func TestMapName(t *testing.T) {
	for host, want := range map[string]string{
		"plain.txt": "plain.txt", "a:b": "a\uF03Ab", "end.": "end\uF02E", "two..": "two.\uF02E", "end ": "end\uF020", " ": "\uF020",
		"caf\xE9": "caf\uF0E9", "\xF0\x9F": "\uF0F0\uF09F", "\uF03A": "\uF0EF\uF080\uF0BA", "tab\t": "tab\uF009", "\uF100": "\uF100",
		"a\uFFFFb": "a\uF0EF\uF0BF\uF0BFb", `<>"|?*\`: "\uF03C\uF03E\uF022\uF07C\uF03F\uF02A\uF05C", "\uFFFD": "\uFFFD", ".a": ".a", "...": "..\uF02E",
	} {
		got, changed := MapName(host)
		if got != want || changed != (got != host) {
			t.Errorf("%q is mapped to %+q, %v, want %+q", host, got, changed, want)
		}
		if back, ok := UnmapName(got); !ok || back != host {
			t.Errorf("%+q is mapped back to %q, %v", got, back, ok)
		}
	}
	// Names that a guest can write and that must not become host names.
	for _, fat := range []string{"a\uF02Fb", "\uF02E", "\uF02E\uF02E", ".\uF02E", "", ".", "..", "a\uF000", "\uF041", "a\uF02Eb", "\uF0C3\uF0A9", "a/b", "a\x00",
		"a:b", "dot.", "\uF0EF\uF080", "..\uF02F\uF02E\uF02E", "x\uF020y"} {
		host, ok := UnmapName(fat)
		if fat == "\uF0EF\uF080" { // two bytes of a character that is not whole
			if !ok || host != "\xEF\x80" {
				t.Errorf("%+q: %q, %v", fat, host, ok)
			}
			continue
		}
		if ok {
			t.Errorf("%+q became the host name %q", fat, host)
		}
	}
}

// Every host name has a legal name on FAT that leads back to it.
func checkMapping(t interface{ Fatalf(string, ...any) }, host string) {
	if host == "" || host == "." || host == ".." || strings.ContainsAny(host, "/\x00") {
		return
	}
	fat, changed := MapName(host)
	if changed != (fat != host) {
		t.Fatalf("%q: changed is %v", host, changed)
	}
	if err := ValidateName(fat); err != nil && UTF16Len(fat) <= MaxNameUnits {
		t.Fatalf("%q is mapped to %+q: %v", host, fat, err)
	}
	if back, ok := UnmapName(fat); !ok || back != host {
		t.Fatalf("%q is mapped to %+q and back to %q, %v", host, fat, back, ok)
	}
	for try := range 2 {
		d := DistinctName(fat, host, try)
		if err := ValidateName(d); err != nil {
			t.Fatalf("DistinctName(%+q): %v", fat, err)
		}
		if d == fat {
			t.Fatalf("DistinctName(%+q) is no other name", fat)
		}
	}
}

func TestMapNameProperties(t *testing.T) {
	part := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune{'.', ' ', ':', 'a', 0xF000, 0xF02E, 0xF0EF, 0xFFFE, 0xFFFD, 1})),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		checkMapping(t, part.Draw(t, "a")+part.Draw(t, "b"))
	})
}

func TestDistinctName(t *testing.T) {
	for _, tc := range []struct{ host, want string }{
		{"Readme.txt", `^Readme~[0-9a-f]{8}\.txt$`}, {".bashrc", `^\.bashrc~`}, {"noext", `^noext~`},
		{strings.Repeat("x", 300) + ".txt", `^x{242}~[0-9a-f]{8}\.txt$`}, {"a." + strings.Repeat("y", 300), `^a\.y{244}~`},
		{strings.Repeat("💾", 200) + ".é", `^(💾){122}~[0-9a-f]{8}\.é$`},
	} {
		fat, _ := MapName(tc.host)
		got := DistinctName(fat, tc.host, 0)
		if !matches(t, tc.want, got) || UTF16Len(got) > MaxNameUnits || !utf8.ValidString(got) {
			t.Errorf("%q became %q", tc.host, got)
		}
		if DistinctName(fat, tc.host, 1) == got || DistinctName(fat, tc.host, 0) != got {
			t.Errorf("%q: try counts for nothing, or the result changes", tc.host)
		}
	}
	if DistinctName("a.txt", "a.txt", 0) == DistinctName("a.txt", "A.txt", 0) {
		t.Error("case twins have one name")
	}
}

func FuzzMapName(f *testing.F) {
	for _, s := range []string{"plain", "a:b.", "caf\xE9 ", "\uF03A\uFFFE", strings.Repeat("\xFF", 255)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkMapping(t, s)
		if host, ok := UnmapName(s); ok {
			if fat, _ := MapName(host); fat != s || !safeHostName(host) {
				t.Fatalf("%+q is mapped back to %q, which is mapped to %+q", s, host, fat)
			}
		}
		ValidateName(s)
		IsDeviceName(TrimName(s))
	})
}
