package hosttree

import (
	"testing"
	"time"
)

func TestDiskNames(t *testing.T) {
	host := map[string]File{
		"README": {}, "readme": {}, "a:b": {Dir: true}, "a:b/end.": {}, "bad\xff": {}, "plain": {},
	}
	hash := func(s string) string {
		h := uint32(2166136261)
		for _, c := range []byte(s) {
			h = (h ^ uint32(c)) * 16777619
		}
		const digits = "0123456789abcdef"
		out := make([]byte, 8)
		for i := range out {
			out[7-i] = digits[h>>(4*i)&15]
		}
		return string(out)
	}
	twin := "readme~" + hash("readme")
	disk := []string{"README", twin, "a\uf03ab", "a\uf03ab/end\uf02e", "bad\uf0ff", "plain"}
	names := DiskNames(t, disk, host)
	for h, d := range map[string]string{"readme": twin, "a:b/end.": "a\uf03ab/end\uf02e", "bad\xff": "bad\uf0ff", "plain": "plain"} {
		if got := names(h); got != d {
			t.Errorf("%q is %q on the disk, want %q", h, got, d)
		}
	}
	if isDistinct("readme~00000000", "readme") || isDistinct("other~"+hash("readme"), "readme") {
		t.Error("a name is taken for a distinct name of another")
	}
}

func TestFATTime(t *testing.T) {
	for in, want := range map[string]string{
		"1979-12-31T23:59:59Z": "1980-01-01T00:00:00Z", "2024-05-06T07:08:09Z": "2024-05-06T07:08:08Z",
		"2108-01-01T00:00:00Z": "2107-12-31T23:59:58Z", "2024-05-06T07:08:10+02:00": "2024-05-06T05:08:10Z",
	} {
		when, err := time.Parse(time.RFC3339, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := FATTime(when).Format(time.RFC3339); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}
