package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// editor reads lines from a terminal: it edits, keeps the history and completes.
// The terminal is in raw mode only while a line or a key is read, so that
// commands can be interrupted.
type editor struct {
	file    *os.File
	input   *keys
	term    *term.Terminal
	history *history
}

const (
	ctrlC = 3
	ctrlD = 4
)

func newEditor(s *Shell, file *os.File, out io.Writer, historyFile string) *editor {
	e := &editor{file: file, input: &keys{in: file}, history: newHistory(historyFile)}
	e.term = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{e.input, out}, "")
	e.term.History = e.history
	e.term.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		switch {
		case key == ctrlZ && !e.history.on: // the end of what is typed for CON
			return line + endOfInput, len(line) + len(endOfInput), true
		case key != '\t' || !e.history.on:
			return "", 0, false
		}
		newLine, newPos, choices := s.complete(line, pos)
		if len(choices) > 1 && newLine == line {
			var b bytes.Buffer
			width := 0
			for _, name := range choices {
				width = max(width, len([]rune(name))+2)
			}
			c80(choices, width, func(format string, args ...any) error {
				_, err := b.WriteString(fmt.Sprintf(format, args...))
				return err
			})
			e.term.Write(b.Bytes())
		}
		return newLine, newPos, true
	}
	return e
}

// raw runs fn with the terminal in raw mode.
func (e *editor) raw(fn func() error) error {
	old, err := term.MakeRaw(int(e.file.Fd()))
	if err != nil {
		return err
	}
	err = fn()
	if rerr := term.Restore(int(e.file.Fd()), old); err == nil {
		err = rerr
	}
	return err
}

// readLine reads a line of commands. io.EOF is Ctrl-D; Ctrl-C gives up the line,
// which is empty then.
func (e *editor) readLine(prompt string) (string, error) {
	e.history.on = true
	defer func() { e.history.on = false }()
	line, err := e.question(prompt)
	if errors.Is(err, context.Canceled) {
		return "", nil
	}
	return line, err
}

// question reads a line that is no command. Ctrl-C is context.Canceled.
func (e *editor) question(prompt string) (line string, err error) {
	e.input.interrupted = false
	err = e.raw(func() error {
		e.term.SetPrompt(prompt)
		if w, h := e.size(); w > 0 {
			e.term.SetSize(w, h)
		}
		line, err = e.term.ReadLine()
		if err == term.ErrPasteIndicator {
			err = nil
		}
		return err
	})
	if e.input.interrupted {
		return "", context.Canceled
	}
	return line, err
}

// key reads one key. What a function key sends after its first byte is
// swallowed with it.
func (e *editor) key() (key byte, err error) {
	err = e.raw(func() error {
		key, err = e.input.key()
		return err
	})
	return key, err
}

// size returns columns and rows of the terminal.
func (e *editor) size() (width, height int) {
	width, height, err := term.GetSize(int(e.file.Fd()))
	if err != nil || width <= 0 || height <= 1 {
		return 80, 24
	}
	return width, height
}

// keys is what is typed. It hands out a line at most, so that what was typed
// ahead is there for who reads next. Ctrl-C gives up the line: it is turned into
// the keys for its end, for deleting it, and Enter.
type keys struct {
	in          io.Reader
	rest        []byte
	interrupted bool // Ctrl-C has been met
}

func (k *keys) fill() error {
	if len(k.rest) > 0 {
		return nil
	}
	buf := make([]byte, 256)
	n, err := k.in.Read(buf)
	if n > 0 {
		k.rest, err = buf[:n], nil
	}
	return err
}

// giveUp is Ctrl-E, Ctrl-U and Enter.
const giveUp = "\x05\x15\r"

func (k *keys) Read(p []byte) (int, error) {
	if len(p) < len(giveUp) {
		return 0, io.ErrShortBuffer
	}
	if err := k.fill(); err != nil {
		return 0, err
	}
	if k.rest[0] == ctrlC {
		k.rest, k.interrupted = k.rest[1:], true
		return copy(p, giveUp), nil
	}
	n := min(len(p), len(k.rest))
	if i := bytes.IndexAny(k.rest[:n], "\r\n\x03"); i >= 0 {
		if n = i; k.rest[i] != ctrlC {
			n++
		}
	}
	copy(p, k.rest[:n])
	k.rest = k.rest[n:]
	return n, nil
}

func (k *keys) key() (byte, error) {
	if err := k.fill(); err != nil {
		return 0, err
	}
	key := k.rest[0]
	if key == 0x1B {
		k.rest = nil
	} else {
		k.rest = k.rest[1:]
	}
	return key, nil
}

// maxHistory is how many lines are kept.
const maxHistory = 1000

// history is the lines that were entered, the oldest first.
type history struct {
	file  string
	lines []string
	on    bool // lines are commands
}

var _ term.History = (*history)(nil)

func newHistory(file string) *history {
	h := &history{file: file}
	if file == "" {
		return h
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return h // there is none yet
	}
	for line := range strings.Lines(string(text)) {
		h.lines = append(h.lines, strings.TrimRight(line, "\r\n"))
	}
	if n := len(h.lines) - maxHistory; n > 0 {
		h.lines = h.lines[n:]
		// The file keeps no more than this; what cannot be written costs old lines.
		_ = os.WriteFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h
}

// Add implements term.History. A line that cannot be kept in the file is kept
// until the end.
func (h *history) Add(line string) {
	if !h.on || strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if h.file == "" {
		return
	}
	if f, err := os.OpenFile(h.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err == nil {
		io.WriteString(f, line+"\n")
		f.Close()
	}
}

// Len implements term.History.
func (h *history) Len() int { return len(h.lines) }

// At implements term.History: 0 is the latest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
