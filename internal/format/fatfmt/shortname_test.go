package fatfmt

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShortOf(t *testing.T) {
	const lower = CaseLowerBase | CaseLowerExt
	for _, tc := range []struct {
		page     int
		name     string
		want     string // "" if the name is no short name
		bits     byte
		needLong bool
	}{
		{437, "README.TXT", "README  TXT", 0, false},
		{437, "readme.txt", "README  TXT", lower, false},
		{437, "readme.TXT", "README  TXT", CaseLowerBase, false},
		{437, "README.txt", "README  TXT", CaseLowerExt, false},
		{437, "Readme.txt", "README  TXT", 0, true},
		{437, "makefile", "MAKEFILE   ", CaseLowerBase, false},
		{437, "123.456", "123     456", 0, false},
		{437, "a1.b", "A1      B  ", lower, false},
		{437, "$%'-_@~`", "$%'-_@~`   ", 0, false},
		{437, "été.txt", "", 0, false}, // no É with every accent, but É is there
		{850, "ÇA.TXT", "\x80A      TXT", 0, true},
		{437, "longfilename", "", 0, false},
		{437, "a.html", "", 0, false},
		{437, "a.b.c", "", 0, false},
		{437, ".bashrc", "", 0, false},
		{437, "a b", "", 0, false},
		{437, "a+b", "", 0, false},
		{437, "a.", "", 0, false},
		{437, "漢", "", 0, false},
		{932, "漢字.txt", "\x8A\xBF\x8E\x9A    TXT", 0, true},
		{932, "漢字漢字漢", "", 0, false},
		{850, "ÕX", "\x05X         ", 0, true},
		{437, "a\xFF", "", 0, false},
	} {
		if tc.name == "été.txt" {
			tc.want, tc.needLong = "\x90T\x90     TXT", true
		}
		s, ok := ShortOf(tc.name, mustCodePage(t, tc.page))
		switch {
		case ok != (tc.want != ""):
			t.Errorf("%q: %q, %v", tc.name, s.Name, ok)
		case ok && (string(s.Name[:]) != tc.want || s.Case != tc.bits || s.NeedLong != tc.needLong):
			t.Errorf("%q: %q, %#x, %v", tc.name, s.Name, s.Case, s.NeedLong)
		}
	}
}

// assignAll gives names their short names as the layout of a disk does: all
// are known beforehand.
func assignAll(cp *CodePage, names []string) []Short {
	n := NewShortNamer(cp, len(names))
	for _, name := range names {
		n.ReserveLong(name)
	}
	out := make([]Short, len(names))
	for i, name := range names {
		out[i] = n.Assign(name)
	}
	return out
}

func TestAssignForms(t *testing.T) {
	for _, tc := range []struct {
		page        int
		names, want []string
	}{
		{437, []string{"long file name.text"}, []string{"LONGFI~1TEX"}},
		{437, []string{"Foo.txt", "foo bar.txt"}, []string{"FOO     TXT", "FOOBAR~1TXT"}},
		{437, []string{"a.b.c.tar.gz", ".bashrc", "x+y", "漢字.txt", "..a", "  b  c"}, []string{"ABCTAR~1GZ ", "BASHRC~1   ", "X_Y~1      ", "__~1    TXT", "A~1        ", "BC~1       "}},
		{437, []string{"longname1x", "longname2x", "longname3x", "longname4x"}, []string{"LONGNA~1   ", "LONGNA~2   ", "LONGNA~3   ", "LONGNA~4   "}},
		{437, []string{"longname file", "LONGNA~1"}, []string{"LONGNA~2   ", "LONGNA~1   "}},
		{437, []string{"longname file", "longna~1", "Longna~2"}, []string{"LONGNA~3   ", "LONGNA~1   ", "LONGNA~2   "}},
		{932, []string{"a漢字漢字漢"}, []string{"A\x8A\xBF\x8E\x9A~1    "}},
		{932, []string{"漢字漢字漢", "漢字漢字字"}, []string{"\x8A\xBF\x8E\x9A\x8A\xBF~1   ", "\x8A\xBF\x8E\x9A\x8A\xBF~2   "}},
		{850, []string{"õ long name"}, []string{"\x05LONGN~1   "}},
		{437, []string{"+", "..."}, []string{"_~1        ", "_~2        "}},
	} {
		for i, s := range assignAll(mustCodePage(t, tc.page), tc.names) {
			if string(s.Name[:]) != tc.want[i] {
				t.Errorf("%q of %q is %q, want %q", tc.names[i], tc.names, s.Name, tc.want[i])
			}
		}
	}
	var same []string
	for i := range 6 {
		same = append(same, fmt.Sprintf("some long name %d.txt", i))
	}
	got := assignAll(mustCodePage(t, 437), same)
	if !matches(t, `^SO[0-9A-F]{4}~1TXT$`, string(got[4].Name[:])) || !matches(t, `^SO[0-9A-F]{4}~1TXT$`, string(got[5].Name[:])) {
		t.Errorf("the fifth is %q", got[4].Name)
	}
	same = nil
	for i := range 5 {
		same = append(same, fmt.Sprintf("漢字漢字%d", i))
	}
	got = assignAll(mustCodePage(t, 932), same)
	if !matches(t, `^\x{FFFD}\x{FFFD}[0-9A-F]{4}~1   $`, string(got[4].Name[:])) || string(got[4].Name[:2]) != "\x8A\xBF" {
		t.Errorf("the fifth in code page 932 is %q", got[4].Name)
	}
}

// legalShort reports whether every byte may stand in a short name.
func legalShort(name [11]byte) bool {
	if name[0] == ' ' || name[0] == slotDeleted || name[0] == 0 {
		return false
	}
	for i, c := range name {
		padding := c == ' '
		if padding && i != 7 && i != 10 && name[i+1] != ' ' {
			return false // a space within base or extension
		}
		if !padding && c != nameE5 && c < 0x80 && (!legalInShort(rune(c)) || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}

// checkShorts fails if the short names of a directory break a promise.
func checkShorts(t interface{ Fatalf(string, ...any) }, cp *CodePage, names []string, shorts []Short) {
	owner := map[string]int{}
	for i, name := range names {
		owner[FoldKey(name)] = i
	}
	taken := map[[11]byte]string{}
	for i, s := range shorts {
		if other, ok := taken[s.Name]; ok {
			t.Fatalf("%q and %q are both %q", names[i], other, s.Name)
		}
		taken[s.Name] = names[i]
		if cp.double == nil && !legalShort(s.Name) {
			t.Fatalf("%q is %q", names[i], s.Name)
		}
		text := ShortNameString(s.Name, s.Case, cp)
		if j, ok := owner[FoldKey(text)]; ok && j != i {
			t.Fatalf("%q has the short name %q, which is the name of another file", names[i], text)
		}
		if !s.NeedLong && text != names[i] {
			t.Fatalf("%q needs no long name and reads as %q", names[i], text)
		}
		if s.NeedLong && s.Case != 0 {
			t.Fatalf("%q has a long name and case bits", names[i])
		}
	}
}

// genNames draws the names of a directory, many of them alike, no two equal.
func genNames(t *rapid.T) []string {
	alphabet := rapid.RuneFrom([]rune("aAbB1~. _+é漢Σσ"))
	gen := rapid.OneOf(
		rapid.StringOfN(alphabet, 1, 12, -1),
		rapid.Map(rapid.IntRange(0, 12), func(i int) string { return fmt.Sprintf("AAAAAA~%d", i) }),
		rapid.Map(rapid.IntRange(0, 100), func(i int) string { return fmt.Sprintf("aaaaaaaaa %d", i) }),
	)
	var names []string
	for _, name := range rapid.SliceOfNDistinct(gen, 0, 60, FoldKey).Draw(t, "names") {
		if ValidateName(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

func TestAssignProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cp, err := LookupCodePage(rapid.SampledFrom([]int{437, 850, 932, 1252}).Draw(t, "page"))
		if err != nil {
			t.Fatal(err)
		}
		names := genNames(t)
		shorts := assignAll(cp, names)
		checkShorts(t, cp, names, shorts)
		for i, s := range assignAll(cp, names) {
			if s != shorts[i] {
				t.Fatalf("%q is %q, then %q", names[i], shorts[i].Name, s.Name)
			}
		}
	})
}

// crowd returns n names that compete for the same short names, hash included.
func crowd(n int) []string {
	var names []string
	for i := 0; len(names) < n; i++ {
		name := fmt.Sprintf("the same prefix %d.text", i)
		if hash16(name)&0xFFF0 == 0 {
			names = append(names, name)
		}
	}
	return names
}

// A crowded directory: 60,000 names with one prefix, and names chosen so that
// the hashes collide as well. Were a name to cost more the more there are, this
// test would not end.
func TestAssignCrowds(t *testing.T) {
	cp := mustCodePage(t, 437)
	var plain []string
	for i := range 60000 {
		plain = append(plain, fmt.Sprintf("a common prefix of many files %06d.data", i))
	}
	for _, names := range [][]string{plain, crowd(500)} {
		checkShorts(t, cp, names, assignAll(cp, names))
	}
}

// tried counts the names that a namer looked at to place one more.
func TestCountingNeverGoesBack(t *testing.T) {
	n := NewShortNamer(mustCodePage(t, 437), 0)
	b := newBasis("abcdefghij", n.cp)
	for i := 1; i <= 20000; i++ {
		short := n.count(&b)
		if want := b.withTail(i); short != want {
			t.Fatalf("tail %d is %q, want %q", i, short, want)
		}
		n.Reserve(short)
	}
	for c, next := range n.next {
		if c.digits < 5 && next != 10*pow10(c.digits-1) {
			t.Errorf("tails of %d digits are tried again from %d", c.digits, next)
		}
	}
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// Tails that were released are found again when all others are used up.
func TestCountWrapsAround(t *testing.T) {
	n := NewShortNamer(mustCodePage(t, 437), 0)
	b := newBasis("abcdefghij", n.cp)
	free := n.count(&b)
	n.Reserve(free)
	for digits, lo := 1, 1; digits <= maxTailDigits; digits, lo = digits+1, lo*10 {
		stem, _ := b.stem(7 - digits)
		n.next[counter{stem, digits}] = 10 * lo
	}
	n.Release(free)
	if got := n.count(&b); got != free {
		t.Errorf("got %q, want %q", got, free)
	}
}

func TestReserveAndRelease(t *testing.T) {
	n := NewShortNamer(mustCodePage(t, 437), 0)
	first := n.Assign("a long name")
	if !n.Taken(first.Name) || n.Taken(name11("OTHER      ")) {
		t.Error("Taken")
	}
	n.Release(first.Name)
	if n.Taken(first.Name) {
		t.Error("Release")
	}
	if again := n.Assign("a long name"); again != first {
		t.Errorf("got %q, want %q", again.Name, first.Name)
	}
	n.Reserve(name11("EXACT   TXT"))
	if s := n.Assign("exact.txt"); string(s.Name[:]) != "EXACT~1 TXT" || !s.NeedLong {
		t.Errorf("a taken exact name gives %q", s.Name)
	}
	n.ReserveLong("BOTH.TXT")
	n.Reserve(name11("BOTH    TXT"))
	n.Release(name11("BOTH    TXT"))
	if s := n.Assign("Both+.txt"); string(s.Name[:]) == "BOTH    TXT" {
		t.Error("Release forgot the long name")
	}
}

// A namer forgets all that it was told: it can stay with a directory for ever,
// and names that were removed keep nobody from theirs.
func TestReleaseForgets(t *testing.T) {
	n := NewShortNamer(mustCodePage(t, 437), 0)
	n.ReserveLong("longna~1.txt")
	if s := n.Assign("long name.txt"); string(s.Name[:]) != "LONGNA~2TXT" {
		t.Errorf("a short name that is a long one gives %q", s.Name)
	} else {
		n.Release(s.Name)
	}
	n.ReleaseLong("LongNa~1.txt")
	if s := n.Assign("long name.txt"); string(s.Name[:]) != "LONGNA~1TXT" {
		t.Errorf("after the long name is gone: %q", s.Name)
	} else {
		n.Release(s.Name)
	}
	given := map[string]Short{}
	for i := range 2000 {
		for _, name := range []string{fmt.Sprintf("crowded name %d", i), fmt.Sprintf("Short%d", i%1000)} {
			if _, ok := given[name]; !ok {
				given[name] = n.Assign(name)
			}
		}
	}
	for name, s := range given {
		n.Release(s.Name)
		n.ReleaseLong(name)
	}
	if len(n.taken) != 0 || len(n.next) != 0 {
		t.Errorf("%d names and %d counters are left", len(n.taken), len(n.next))
	}
}

func FuzzAssign(f *testing.F) {
	f.Add(437, "long name one\nlong name two\nLONGNA~1")
	f.Add(932, "漢字漢字漢字\n漢字漢字漢\nＡ")
	f.Add(850, strings.Repeat("õõõõõõõõõ1\nõõõõõõõõõ2\n", 8))
	f.Fuzz(func(t *testing.T, page int, list string) {
		cp, err := LookupCodePage(page)
		if err != nil {
			return
		}
		var names []string
		seen := map[string]bool{}
		for name := range strings.SplitSeq(list, "\n") {
			if key := FoldKey(name); ValidateName(name) == nil && !seen[key] {
				seen[key] = true
				names = append(names, name)
			}
		}
		checkShorts(t, cp, names, assignAll(cp, names))
	})
}

func BenchmarkAssign(b *testing.B) {
	cp := mustCodePage(b, 437)
	for name, format := range map[string]string{"short": "file%d.txt", "long": "a common prefix %06d.data"} {
		var names []string
		for i := range 20000 {
			names = append(names, fmt.Sprintf(format, i))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				assignAll(cp, names)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(names)), "ns/name")
		})
	}
}
