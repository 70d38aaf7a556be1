package shell

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/vfs/iofs"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no string // names, separated by blanks
	}{
		{"*", "a a.b .x", ""}, {"*.*", "a a.b", ""}, {"*.txt", "a.txt A.TXT .txt a.b.txt", "a.tx txt a.txt2"},
		{"a?c", "abc AÜC a.c", "ac abbc"}, {"*a*b*", "ab xaxbx ÄaÖb", "ba a b"}, {"???", "abc äöü", "ab abcd"},
		{"straße", "STRAßE", "STRASSE"}, {"a*", "a abc", "ba"}, {"*.", "a.", "a a.b"}, {"", "", "a"},
	} {
		for _, name := range strings.Fields(c.yes) {
			if !match(c.pattern, name) {
				t.Errorf("%q does not match %q", c.pattern, name)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if match(c.pattern, name) {
				t.Errorf("%q matches %q", c.pattern, name)
			}
		}
	}
	long := strings.Repeat("a", 4000) // must not take for ever
	if match(strings.Repeat("*a", 50)+"*b", long) {
		t.Error("a long name matches")
	}
}

func TestReplaceWildcards(t *testing.T) {
	for _, c := range []struct{ pattern, name, want string }{
		{"*.bak", "a.txt", "a.bak"}, {"x*", "abc.txt", "xbc"}, {"*.*", "a.b.c", "a.b.c"}, {"??-*.?", "abcde.txt", "ab-de.t"},
		{"fixed", "a.txt", "fixed"}, {"*", "a.txt", "a"}, {"*.*", "noext", "noext"}, {"new.*", "old.c", "new.c"},
	} {
		if got := replaceWildcards(c.pattern, c.name); got != c.want {
			t.Errorf("%s of %s is %s, want %s", c.pattern, c.name, got, c.want)
		}
	}
}

func TestParseLine(t *testing.T) {
	stages, err := parseLine(`@type "a b.txt" <in | find /i "x|y"  >> "out put"`)
	if err != nil || len(stages) != 2 {
		t.Fatalf("%+v, %v", stages, err)
	}
	if s := stages[0]; !slices.Equal(s.words, []word{{"type", false}, {"a b.txt", true}}) || s.from != "in" {
		t.Errorf("first: %+v", s)
	}
	if s := stages[1]; !slices.Equal(s.words, []word{{"find", false}, {"/i", false}, {"x|y", true}}) || s.to != "out put" {
		t.Errorf("second: %+v", s)
	}
	for _, line := range []string{"", "  ", "# x", "rem x > y", "REM", "@rem"} {
		if stages, err := parseLine(line); err != nil || len(stages) != 0 {
			t.Errorf("%q is %+v, %v", line, stages, err)
		}
	}
	for _, line := range []string{`dir "`, "| a", "a |", "a | | b", "dir >", "dir > | x", "dir > >"} {
		if stages, err := parseLine(line); err == nil {
			t.Errorf("%q is %+v", line, stages)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add(`type "a b" < in | find "x" >> out`)
	f.Add("dir/w/s c:\\*.?")
	f.Fuzz(func(t *testing.T, line string) {
		stages, err := parseLine(line)
		for _, s := range stages {
			if err == nil && len(s.words) == 0 {
				t.Fatalf("%q has an empty command", line)
			}
			for _, w := range s.words {
				match(w.text, line)
				replaceWildcards(w.text, line)
			}
		}
	})
}

// newTest returns a shell with files at C:, which it cannot change.
func newTest(t testing.TB) (*Shell, *bytes.Buffer) {
	var out bytes.Buffer
	s := New(Options{In: strings.NewReader(""), Out: &out, Err: &out})
	m := fstest.MapFS{}
	for _, name := range []string{"dir/sub/deep.txt", "dir/other.txt", "docs/x", "Long Name.txt", "long list.txt", "plain.txt", "a\x1bb"} {
		m[name] = &fstest.MapFile{Data: []byte("line of " + name + "\n")}
	}
	if err := s.ns.Attach("c:", iofs.New(m), "map"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, &out
}

func TestComplete(t *testing.T) {
	s, _ := newTest(t)
	for _, c := range []struct {
		line, want string
		choices    int
	}{
		{"xc", "xcopy ", 1}, {"di", "di", 2}, {"type pl", "type plain.txt ", 1}, {"type PL", "type plain.txt ", 1},
		{"cd d", "cd d", 2}, {"cd di", `cd dir\`, 1}, {`cd c:\dir\s`, `cd c:\dir\sub\`, 1}, {"cd c:/dir/s", "cd c:/dir/sub/", 1},
		{"type lo", `type "Long `, 2}, {"type long-", "type long-", 0}, {`type "long n`, `type "Long Name.txt" `, 1},
		{"type x | mo", "type x | mo", 3}, {"type x | mor", "type x | more ", 1}, {"dir > pl", "dir > plain.txt ", 1},
		{"type a", "type a", 0}, {"type q:x", "type q:x", 0}, {`c:\pl`, `c:\plain.txt `, 1}, {"", "", len(completeCommand(""))},
	} {
		line, pos, choices := s.complete(c.line, len(c.line))
		if line != c.want || pos != len(line) || len(choices) != c.choices {
			t.Errorf("%q becomes %q at %d with %q; want %q and %d", c.line, line, pos, choices, c.want, c.choices)
		}
	}
	if line, pos, _ := s.complete("type pl | more", 7); line != "type plain.txt  | more" || pos != 15 {
		t.Errorf("in the middle: %q at %d", line, pos)
	}
}

// Lines and what they print; a negated one fails.
func TestCommands(t *testing.T) {
	s, out := newTest(t)
	for _, c := range []struct {
		line, want string
		fails      bool
	}{
		{"type plain.txt", "line of plain.txt\n", false},
		{`type c:\dir\*.txt`, "line of dir/other.txt\n", false},
		{"cat < plain.txt", "line of plain.txt\n", false},
		{"type plain.txt | find /v plain", "", true},
		{"type plain.txt | find /n /i PLAIN", "[1]line of plain.txt\n", false},
		{"ls dir", "other.txt\nsub\n", false},
		{"dir/b/ad", "dir\ndocs\n", false},
		{"dir /b /s /a:-d dir", "dir\\other.txt\ndir\\sub\\deep.txt\n", false},
		{"dir /b /o:-n d*", "docs\ndir\n", false},
		{"cd dir", "", false}, {"cd", "C:\\dir\n", false}, {"cd..", "", false}, {`cd\dir\sub`, "", false}, {"pwd", "C:\\dir\\sub\n", false}, {`cd \`, "", false},
		{"tree /a dir", "C:\\dir\n\\-- sub\n", false},
		{"touch new", "new: read-only\n", true}, {"cls", "", false}, {"chkdsk", "C: a volume of this kind does not support that: check\n", true},
		{"echo a b > nul", "", false}, {"echo a b", "a b\n", false}, {"echo x > con", "x\n", false},
		{"fc plain.txt plain.txt", "no differences\n", false},
		{"fc plain.txt docs", "***** plain.txt\n    1: line of plain.txt\n***** docs\\plain.txt\n", true},
		{"del plain.txt", "plain.txt: is read-only: /f deletes it\n", true},
		{"echo x > new", "new: read-only\n", true},
		{"md con", "con: the name of a DOS device\n", true},
		{"type none", "none: file does not exist\n", true},
		{"dir none", "none: file does not exist\n", true},
		{"q:", "q: there is no such drive: mount lists them\n", true},
		{"frob", "frob: there is no such command: help lists them\n", true},
		{"copy", "copy: something is missing: usage: copy SOURCE... [TARGET] [/s] [/y]\n", true},
		{"find -x a", "find: what is -x?: usage: find \"TEXT\" [FILE...] [/i] [/v] [/c] [/n]\n", true},
		{"subst x: dir", "", false}, {"subst", "X: is C:\\dir\n", false}, {`type x:\other.txt`, "line of dir/other.txt\n", false},
		{"umount c:", "c: busy: X: is another name of it\n", true}, {"subst x: /d", "", false}, {"umount c:", "", false}, {"mount", "", false},
	} {
		out.Reset()
		err := s.Do(t.Context(), c.line)
		if c.line == "fc plain.txt docs" { // the second file is not there
			c.want = "docs\\plain.txt: file does not exist\n"
		}
		if out.String() != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %v and %q, want %q", c.line, err, out, c.want)
		}
	}
}

func TestNamesDoNotSteerTheTerminal(t *testing.T) {
	s, out := newTest(t)
	for _, line := range []string{"dir", "ls", "tree /f", "type a\x1bb\x1b", "dir /w", "attrib"} {
		s.Do(t.Context(), line)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("an escape sequence was printed: %q", out)
	}
}

// A link that leads out of its volume is listed like any other file.
func TestLinksThatLeadOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(os.TempDir(), filepath.Join(dir, "out")); err != nil {
		tools.Missing(t, "symbolic links: "+err.Error())
	}
	var out bytes.Buffer
	s := New(Options{In: strings.NewReader(""), Out: &out, Err: &out})
	defer s.Close()
	if err := s.Mount(t.Context(), stack.DriveSpec{Point: "D:", Letter: 'D', Name: dir}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"dir", "dir /s", "ls", "tree /f", "attrib", "attrib /s"} {
		out.Reset()
		if err := s.Do(t.Context(), line); err != nil {
			t.Errorf("%s: %v, %s", line, err, &out)
		}
	}
	if err := s.Do(t.Context(), "type out"); err == nil {
		t.Error("the link was followed")
	}
}

// Every command can be explained, and has a name of its own.
func TestHelp(t *testing.T) {
	s, out := newTest(t)
	seen := map[string]bool{}
	for _, c := range commands() {
		for _, name := range append([]string{c.name}, c.aliases...) {
			if seen[name] {
				t.Errorf("two commands are called %s", name)
			}
			seen[name] = true
		}
		out.Reset()
		if err := s.Do(t.Context(), "help "+c.name); err != nil || !strings.Contains(out.String(), c.brief) {
			t.Errorf("help %s: %v, %q", c.name, err, out)
		}
	}
}

func TestKeys(t *testing.T) {
	k := &keys{in: strings.NewReader("one\rtw\x03o\rq")}
	var got []string
	p := make([]byte, 10)
	for range 4 {
		n, err := k.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(p[:n]))
	}
	if !slices.Equal(got, []string{"one\r", "tw", giveUp, "o\r"}) {
		t.Errorf("read %q", got)
	}
	if key, err := k.key(); key != 'q' || err != nil {
		t.Errorf("key %q, %v", key, err)
	}
	if _, err := k.key(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	h := newHistory(file)
	h.Add("an answer")
	h.on = true
	for range maxHistory + 10 {
		h.Add("one")
		h.Add("two")
		h.Add("two")
		h.Add(" ")
	}
	h = newHistory(file)
	if h.Len() != maxHistory || h.At(0) != "two" || h.At(1) != "one" {
		t.Errorf("%d lines, %q, %q", h.Len(), h.At(0), h.At(1))
	}
	if h = newHistory(file); h.Len() != maxHistory {
		t.Errorf("the file keeps %d lines", h.Len())
	}
}
