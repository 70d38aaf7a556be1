package fatfmt

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// matches reports whether s matches the regular expression.
func matches(t testing.TB, expr, s string) bool {
	t.Helper()
	return regexp.MustCompile(expr).MatchString(s)
}

func TestEncodeLabel(t *testing.T) {
	cp := mustCodePage(t, 437)
	for in, want := range map[string]string{"": "NO NAME    ", "my disk": "MY DISK    ", "ELEVENCHARS": "ELEVENCHARS", "été  ": "\x90T\x90        ",
		"ÿX": "", "a-b_c!": "A-B_C!     "} {
		got, err := EncodeLabel(in, cp)
		if want == "" {
			if err == nil {
				t.Errorf("%q: upper case is not in the code page, got %q", in, got)
			}
			continue
		}
		if err != nil || string(got[:]) != want {
			t.Errorf("%q is %q, %v", in, got, err)
		}
		if back := DecodeLabel(got, cp); !EqualNames(back, strings.TrimRight(in, " ")) {
			t.Errorf("%q is read as %q", in, back)
		}
	}
	for in, want := range map[string]string{"           ": "", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": "", "A\x00         ": "A"} {
		if got := DecodeLabel(name11(in), cp); got != want {
			t.Errorf("%q is read as %q", in, got)
		}
	}
	for _, in := range []string{"twelve chars", "a.b", "a/b", "a*", " a", "a\x01", "漢", "a\xFF", "\x7F"} {
		if got, err := EncodeLabel(in, cp); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
	if got, err := EncodeLabel("Õ", mustCodePage(t, 850)); err != nil || got[0] != 0x05 || DecodeLabel(got, mustCodePage(t, 850)) != "Õ" {
		t.Errorf("a leading E5: %x, %v", got, err)
	}
}

func TestFitLabel(t *testing.T) {
	cp := mustCodePage(t, 437)
	for in, want := range map[string]string{"": "NO NAME    ", "src": "SRC        ", "a long directory name": "A LONG DIRE", "...": "NO NAME    ",
		".config": "CONFIG     ", "v1.2.3": "V123       ", "漢字": "NO NAME    ", "ten chars   x": "TEN CHARS  ", "a\xFFb": "AB         "} {
		got := FitLabel(in, cp)
		if string(got[:]) != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
		if _, err := EncodeLabel(DecodeLabel(got, cp), cp); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	if got := FitLabel("漢字漢字漢字", mustCodePage(t, 932)); DecodeLabel(got, mustCodePage(t, 932)) != "漢字漢字漢" {
		t.Errorf("cut within a character: %x", got)
	}
}
