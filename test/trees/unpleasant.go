package trees

import (
	"fmt"
	"strings"
	"time"
)

// unpleasantNames are names that a host may have and that FAT, a guest or a
// careless program has trouble with.
var unpleasantNames = []string{
	// Beyond ASCII, and beyond the first plane of Unicode.
	"emoji 🐘.txt", "🐘", "👨‍👩‍👧‍👦 family", "漢字ファイル.テキスト", "Ünïcödé.txt", "Ελληνικά", "עברית", "\u202eright to left",
	"e\u0301 decomposed", "\u00e9 composed", "\U0010FFFF last", "\uFFFD replacement", "\uFEFFmark",
	// Dots and spaces, which Windows strips.
	"trailing dot.", "trailing dots...", "trailing space ", "dot and space. ", " leading space", ".hidden", "..two dots", "...", "a..b", "no extension.", "x. y. z",
	// Long, in each unit that a limit may count in.
	strings.Repeat("u", 255), strings.Repeat("漢", 85), strings.Repeat("🐘", 63) + "abc",
	strings.Repeat("a", 12), strings.Repeat("b", 13), strings.Repeat("c", 14), strings.Repeat("d", 26), strings.Repeat("e", 247),
	strings.Repeat(":", 255), strings.Repeat("?", 250) + ".text", strings.Repeat("\xff", 255),
	// Names that differ only in case, for some notion of case.
	"Readme", "README", "readme", "readme.txt", "README.TXT", "Éclair", "éclair", "ǆ", "ǅ", "Ǆ", "long s ſ", "long s S", "long s s", "σ", "ς", "Σ",
	"straße", "STRASSE", "K kelvin", "k kelvin", "ı", "i", "İ",
	// Bytes that are no UTF-8.
	"bad\xff\xfe", "\x80", "caf\xe9", "overlong \xc0\xaf", "surrogate \xed\xa0\x80", "pair \xed\xa0\xbd\xed\xb8\x80", "cut \xf0\x9f\x90", "\xff", "\xfe",
	// What FAT forbids.
	`quote"`, "star*", "colon:", "less<", "more>", "ask?", `back\slash`, "pipe|", "tab\t", "new\nline", "\x01", "\x1f", "del\x7f", `"*:<>?\|`, ":", "?", "*",
	"plus+comma,semi;equal=[brackets]", "+", "a b", "'quote`", "$dollar%percent&and", "100%", "{braces}", "@at", "~", "^", "#",
	// What the mappings of others, or our own, turn such names into.
	"pua\uf03a", "pua\uf020", "pua\uf0ff", "colon%3A", "colon_", "colon\uFF1A", "bad\\xff\\xfe", "trailing dot%2E", "a=3Ab", "bad\uf7ff\uf7fe", "bad\xed\xb3\xbf",
	// Names of devices.
	"CON", "con.txt", "NUL", "nul.tar.gz", "aux", "COM1", "com1.log", "LPT9", "PRN ", "CLOCK$", "COM¹",
	// Short names that other files will want.
	"a~1", "A~1.TXT", "LONGFI~1.TXT", "long file name.txt", "long file nane.txt", "LONGFI~2.TXT", "longfi~3.txt", "LONGFILENAME.TXT",
	// A first byte that means deleted, and the byte that stands for it.
	"åbc", "\x05start", "σfile", "åbc.txt",
	// Eight and three, in every mixture of case.
	"lower.txt", "UPPER.TXT", "UPPER2.txt", "lower2.TXT", "Mixed.txt", "exact888.333", "noext", "NOEXT2", "nine99999.txt", "file.four", "two.dots.txt", "v1.2.3",
}

// unpleasantSizes lie around the borders of sectors and clusters.
var unpleasantSizes = []int64{0, 1, 511, 512, 513, 1023, 1024, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 32767, 32768, 32769, 65535, 65536, 65537, 100_000}

// unpleasantTimes lie at and beyond the borders of what FAT can hold.
var unpleasantTimes = []time.Time{
	time.Unix(0, 0), time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC), time.Date(2108, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2000, 2, 29, 23, 59, 59, 999_999_999, time.UTC), time.Date(2023, 10, 29, 2, 30, 1, 0, time.UTC), time.Date(2023, 3, 26, 2, 30, 0, 10_000_000, time.UTC),
}

// unpleasantDepth is the number of directories in each other.
const unpleasantDepth = 40

// Unpleasant is a tree of names, sizes, times, modes, links and special files
// that are hard to get right. All its symbolic links lead to something inside
// without a loop; [BadLinks] has the others. The sockets and pipes have no
// place on a disk.
func Unpleasant() Tree {
	var t Tree
	for i, name := range unpleasantNames {
		t = append(t,
			Node{Path: "names/" + name, Size: int64(i % 50), Seed: uint64(i)},
			Node{Path: "dirs/" + name + "/in it", Size: 3, Seed: uint64(i) + 1000})
	}
	for i, size := range unpleasantSizes {
		t = append(t, Node{Path: fmt.Sprintf("sizes/%d bytes", size), Size: size, Seed: uint64(i) + 2000})
	}
	for i, when := range unpleasantTimes {
		t = append(t, Node{Path: "times/" + when.UTC().Format("2006-01-02 150405.000"), Size: 2, Seed: uint64(i) + 3000, ModTime: when})
	}
	deep := strings.Repeat("deep directory/", unpleasantDepth)
	t = append(t,
		Node{Path: deep + "bottom.txt", Size: 6, Seed: 4000},
		Node{Path: "empty directory", Kind: Dir},
		Node{Path: "modes/read only", Size: 1, Mode: 0o444},
		Node{Path: "modes/executable", Size: 1, Mode: 0o755},
		Node{Path: "modes/read-only directory/file", Size: 1},
		Node{Path: "modes/read-only directory", Kind: Dir, Mode: 0o555},
		Node{Path: "links/to a file", Kind: Symlink, Target: "../sizes/4097 bytes"},
		Node{Path: "links/to a link", Kind: Symlink, Target: "to a file"},
		Node{Path: "links/to a directory", Kind: Symlink, Target: "../sizes"},
		Node{Path: "links/through a link", Kind: Symlink, Target: "to a directory/513 bytes"},
		Node{Path: "links/out and in", Kind: Symlink, Target: "../links/../modes/executable"},
		Node{Path: "special/socket", Kind: Socket},
		Node{Path: "special/pipe", Kind: FIFO},
		Node{Path: "special/file", Size: 10},
	)
	return t
}

// BadLinks is a tree whose symbolic links lead outside, in circles or nowhere.
func BadLinks() Tree {
	return Tree{
		{Path: "good.txt", Size: 5, Seed: 1},
		{Path: "absolute", Kind: Symlink, Target: "/etc/passwd"},
		{Path: "above", Kind: Symlink, Target: "../../../../../../../../../../etc/passwd"},
		{Path: "self", Kind: Symlink, Target: "self"},
		{Path: "ping", Kind: Symlink, Target: "pong"},
		{Path: "pong", Kind: Symlink, Target: "ping"},
		{Path: "sub/up", Kind: Symlink, Target: ".."},
		{Path: "sub/here", Kind: Symlink, Target: "."},
		{Path: "nowhere", Kind: Symlink, Target: "does not exist"},
	}
}
