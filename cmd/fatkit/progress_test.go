package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBarLine(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		elapsed     time.Duration
		want        []string
	}{
		{0, 1 << 20, 0, []string{"[" + strings.Repeat(" ", barWidth) + "]", "  0%", "0 B of 1 MiB"}},
		{1 << 19, 1 << 20, time.Second, []string{strings.Repeat("=", barWidth/2) + " ", " 50%", "512 KiB/s", "1s left"}},
		{1 << 20, 1 << 20, time.Second, []string{strings.Repeat("=", barWidth), "100%"}},
		{0, 0, 0, []string{"100%"}},
	} {
		got := barLine("x.img", c.done, c.total, c.elapsed)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("barLine(%d, %d, %v) = %q; want %q in it", c.done, c.total, c.elapsed, got, want)
			}
		}
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	if b := newProgressBar(&out, "x", false); b != nil {
		t.Error("there is a bar where there is no terminal")
	}
	var none *progressBar
	none.update(1, 2)
	none.finish()
	b := &progressBar{out: &out, what: "x", start: time.Now()}
	b.update(1, 100)
	first := out.Len()
	b.update(2, 100)
	if out.Len() != first {
		t.Error("the bar is drawn again at once")
	}
	b.update(100, 100)
	if !strings.Contains(out.String(), "100%") {
		t.Errorf("the end is not drawn: %q", &out)
	}
	b.finish()
	if lines := strings.Split(out.String(), "\r"); strings.TrimSpace(lines[len(lines)-2]) != "" || lines[len(lines)-1] != "" {
		t.Errorf("the bar is not taken away: %q", &out)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "写真 🎉": "写真 🎉", `a\b "c"`: `a\b "c"`,
		"\x1b[31mred": `"\x1b[31mred"`, "bad\xff": `"bad\xff"`, "a\nb": `"a\nb"`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain-1.img": "plain-1.img", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "u?x=$y": "'u?x=$y'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestSplitCommas(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "a,b": "a|b", "a,,b": "a,b", "a=x,,y,b": "a=x,y|b", "a,,,b": "a,|b",
	} {
		if got := strings.Join(splitCommas(in), "|"); got != want {
			t.Errorf("splitCommas(%q) = %q, want %q", in, got, want)
		}
	}
}
