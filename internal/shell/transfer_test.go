package shell

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/vfs/iofs"
)

// slowTree is a tree whose files call read before each read.
type slowTree struct {
	fs.FS
	read func()
}

type slowFile struct {
	fs.File
	read func()
}

func (s slowTree) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if fi, serr := fs.Stat(s.FS, name); err != nil || serr != nil || fi.IsDir() {
		return f, err
	}
	return slowFile{f, s.read}, nil
}

func (f slowFile) Read(p []byte) (int, error) {
	f.read()
	return f.File.Read(p)
}

// seenProgress is what a person sees.
type seenProgress struct {
	done, total int64
	shown       bool
}

func (p *seenProgress) Update(done, total int64) { p.done, p.total, p.shown = done, total, true }
func (p *seenProgress) Finish()                  { p.shown = false }

// newSlow returns a shell at a terminal with a file at S: whose reads call read,
// and a folder at T:, which it returns as well.
func newSlow(t *testing.T, read func()) (s *Shell, out *bytes.Buffer, dir string, bar *seenProgress) {
	out, dir, bar = &bytes.Buffer{}, t.TempDir(), &seenProgress{}
	s = New(Options{In: strings.NewReader(""), Out: out, Err: out, Progress: func(string) Progress { return bar }})
	s.editor = &editor{input: &keys{}, history: newHistory("")}
	h, err := host.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree := slowTree{fstest.MapFS{"d/slow": &fstest.MapFile{Data: make([]byte, 300_000)}}, read}
	if err := errors.Join(s.ns.Attach("s:", iofs.New(tree), "slow"), s.ns.Attach("t:", h, "dir")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, out, dir, bar
}

func TestProgress(t *testing.T) {
	for _, line := range []string{`copy s:\d\slow t:\`, `xcopy s:\d t:\`, `xcopy s:\ t:\ /s`, `copy /s s:\d t:\`} {
		s, out, _, bar := newSlow(t, func() { time.Sleep(meterDelay / 2) })
		if err := s.Do(t.Context(), line); err != nil {
			t.Fatalf("%s: %v, %s", line, err, out)
		}
		if bar.done != 300_000 || bar.total != 300_000 || bar.shown {
			t.Errorf("%s: %+v", line, bar)
		}
		s, _, _, bar = newSlow(t, func() {})
		s.editor = nil
		if err := s.Do(t.Context(), line); err != nil || bar.total != 0 {
			t.Errorf("%s without a person: %v, %+v", line, err, bar)
		}
	}
}

// What is interrupted leaves no part of a file, or says of which it does.
func TestInterruptedCopies(t *testing.T) {
	for line, want := range map[string]string{
		`copy s:\d\slow t:\new /y`:       "interrupted\n",
		`move s:\d\slow t:\new /y`:       "interrupted\n",
		`copy s:\d\slow t:\old /y`:       "interrupted; t:\\old is left incomplete\n",
		`copy /s s:\d t:\sub /y`:         "interrupted; t:\\sub\\d\\slow is left incomplete\n",
		`type s:\d\slow > t:\typed`:      "interrupted; t:\\typed is left incomplete\n",
		`find "x" s:\d\slow`:             "---------- S:\\D\\SLOW\ninterrupted\n",
		`copy s:\d\slow nul`:             "interrupted\n",
		`type s:\d\slow | find "x" /c`:   "interrupted\n",
		`copy s:\d\slow t:\old.*.txt /y`: "interrupted\n",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s, out, dir, _ := newSlow(t, cancel)
		if err := os.MkdirAll(filepath.Join(dir, "sub", "d"), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, old := range []string{"old", "sub/d/slow"} {
			if err := os.WriteFile(filepath.Join(dir, old), []byte("what was there"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Do(ctx, line); err == nil || out.String() != want {
			t.Errorf("%s: %v, %q, want %q", line, err, out, want)
		}
		for _, left := range []string{"new", "~move*", "old..*"} {
			if found, err := filepath.Glob(filepath.Join(dir, left)); err != nil || len(found) > 0 {
				t.Errorf("%s: a part of the file is there: %q, %v", line, found, err)
			}
		}
	}
}
