package fatfmt

import (
	"testing"
	"unicode/utf8"
)

// Whatever a code page writes it reads back, as one or two bytes.
func TestCodePagesRoundTrip(t *testing.T) {
	for _, n := range CodePages() {
		cp := mustCodePage(t, n)
		count := 0
		for r := rune(0); r <= utf8.MaxRune; r++ {
			p, ok := cp.AppendEncoded(nil, r)
			if !ok {
				continue
			}
			count++
			if len(p) == 0 || len(p) > 2 || len(p) == 2 && cp.double == nil {
				t.Fatalf("%d: %q takes %d bytes", n, r, len(p))
			}
			if back := string(cp.AppendDecoded(nil, p)); back != string(r) {
				t.Fatalf("%d: %q became %x and %q", n, r, p, back)
			}
		}
		if count < 200 || cp.double != nil && count < 6000 {
			t.Errorf("%d: only %d characters", n, count)
		}
		if cp.Number() != n {
			t.Errorf("%d calls itself %d", n, cp.Number())
		}
	}
}

// Characters whose bytes are known from the code pages' tables.
func TestCodePageSamples(t *testing.T) {
	for _, tc := range []struct {
		page int
		r    rune
		want string
	}{
		{437, 'É', "\x90"}, {437, 'σ', "\xE5"}, {850, 'Õ', "\xE5"}, {852, 'Ł', "\x9D"}, {866, 'Ж', "\x86"}, {1252, '€', "\x80"},
		{1252, 'é', "\xE9"}, {932, '漢', "\x8A\xBF"}, {932, 'ｱ', "\xB1"}, {932, '表', "\x95\x5C"}, {936, '汉', "\xBA\xBA"},
		{949, '한', "\xC7\xD1"}, {950, '漢', "\xBA\x7E"}, {858, '€', "\xD5"}, {437, '~', "~"},
	} {
		got, ok := mustCodePage(t, tc.page).AppendEncoded([]byte("<"), tc.r)
		if !ok || string(got) != "<"+tc.want {
			t.Errorf("%d: %q is %x, want %x", tc.page, tc.r, got, tc.want)
		}
	}
	cp := mustCodePage(t, 437)
	for _, r := range []rune{'€', '漢', 0x80, utf8.RuneError, -1} {
		if p, ok := cp.AppendEncoded([]byte("<"), r); ok || string(p) != "<" {
			t.Errorf("437 has %q as %x", r, p)
		}
	}
	if got := string(mustCodePage(t, 932).AppendDecoded(nil, []byte("a\x8A"))); got != "a\uFFFD" {
		t.Errorf("half a pair is %q", got)
	}
}

func TestLookupCodePage(t *testing.T) {
	if cp := mustCodePage(t, 0); cp.Number() != DefaultCodePage {
		t.Errorf("0 is %d", cp.Number())
	}
	if mustCodePage(t, 850) != mustCodePage(t, 850) {
		t.Error("a code page is built twice")
	}
	if _, err := LookupCodePage(999); err == nil {
		t.Error("999 was found")
	}
	for _, n := range []int{437, 850, 852, 866, 1252, 932} {
		mustCodePage(t, n)
	}
}

func FuzzCodePage(f *testing.F) {
	f.Add(437, []byte("ABC\x80\xFF"))
	f.Add(932, []byte("\x8A\xBF\x95\x5C\x81"))
	f.Fuzz(func(t *testing.T, page int, p []byte) {
		cp, err := LookupCodePage(page)
		if err != nil {
			return
		}
		s := string(cp.AppendDecoded(nil, p))
		if !utf8.ValidString(s) {
			t.Fatalf("%x is %q", p, s)
		}
		var q []byte
		for _, r := range s {
			var ok bool
			if q, ok = cp.AppendEncoded(q, r); !ok && r != utf8.RuneError {
				t.Fatalf("%d reads %q and cannot write it", page, r)
			} else if !ok {
				return
			}
		}
		if back := string(cp.AppendDecoded(nil, q)); back != s {
			t.Fatalf("%d: %q became %x and %q", page, s, q, back)
		}
	})
}
