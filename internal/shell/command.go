package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fatkit/fatkit/vfs"
)

// command is a command of the shell.
type command struct {
	name    string
	aliases []string
	usage   string // what follows the name
	brief   string // one line
	help    string // more lines, may be empty
	// switches are the letters and words that follow a slash, separated by
	// blanks; one with ":" can have a value: "s p a:".
	switches string
	// unix maps options of one letter to switches, as "r=s f=q". A letter that
	// is not listed stands for the switch of that letter.
	unix     string
	min, max int // operands; max is negative if there is no limit
	run      func(c *call) error
}

// call is one run of a command.
type call struct {
	*Shell
	ctx  context.Context
	cmd  *command
	name string // by which it was called, in lower case
	in   io.Reader
	out  io.Writer
	args []string          // operands
	on   map[string]string // switches, with their values
}

// has reports whether a switch was given.
func (c *call) has(name string) bool {
	_, ok := c.on[name]
	return ok
}

func (c *call) printf(format string, args ...any) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, format, args...)
	return err
}

// usageError says how a command is called.
func (c *call) usageError(format string, args ...any) error {
	return fmt.Errorf("%s: %s: usage: %s", c.name, fmt.Sprintf(format, args...), strings.TrimSpace(c.name+" "+c.cmd.usage))
}

// lookup finds a command by its name or an alias.
func lookup(name string) *command {
	name = strings.ToLower(name)
	for _, c := range commands() {
		if c.name == name || slices.Contains(c.aliases, name) {
			return c
		}
	}
	return nil
}

// parse divides the words after the name into switches and operands.
func (c *call) parse(words []word) error {
	c.on = map[string]string{}
	plain := false
	for _, w := range words {
		switch {
		case plain || w.quoted || len(w.text) < 2:
			c.args = append(c.args, w.text)
		case w.text == "--":
			plain = true
		case w.text[0] == '/' && c.slashes(w.text):
		case w.text[0] == '-' && c.cmd.switches != "":
			if err := c.dashes(w.text[1:]); err != nil {
				return err
			}
		default:
			c.args = append(c.args, w.text)
		}
	}
	switch n := len(c.args); {
	case n < c.cmd.min:
		return c.usageError("something is missing")
	case c.cmd.max >= 0 && n > c.cmd.max:
		return c.usageError("what is %q?", c.args[c.cmd.max])
	}
	return nil
}

// slashes takes /s, /s/p and /a:h, if all of it is switches of the command.
// Otherwise it is a path.
func (c *call) slashes(text string) bool {
	found := map[string]string{}
	for part := range strings.SplitSeq(text[1:], "/") {
		key, value, hasValue := strings.Cut(part, ":")
		key = strings.ToLower(key)
		takes, ok := c.cmd.takes(key)
		if !ok && len(key) > 1 { // /ah, as DOS takes it
			if takes, ok = c.cmd.takes(key[:1]); ok && takes && !hasValue {
				key, value = key[:1], key[1:]
			} else {
				ok = false
			}
		}
		if !ok || hasValue && !takes {
			return false
		}
		found[key] = value
	}
	for k, v := range found {
		c.on[k] = v
	}
	return true
}

// takes reports whether there is a switch, and whether it takes a value.
func (c *command) takes(key string) (value, ok bool) {
	for s := range strings.FieldsSeq(c.switches) {
		if name, v := strings.CutSuffix(s, ":"); name == key {
			return v, true
		}
	}
	return false, false
}

// dashes takes -r, -rf and --word.
func (c *call) dashes(letters string) error {
	if long, ok := strings.CutPrefix(letters, "-"); ok {
		key, value, _ := strings.Cut(long, "=")
		if _, ok := c.cmd.takes(key); !ok {
			return c.usageError("what is --%s?", long)
		}
		c.on[key] = value
		return nil
	}
	for _, letter := range letters {
		key := string(letter)
		for pair := range strings.FieldsSeq(c.cmd.unix) {
			if from, to, _ := strings.Cut(pair, "="); from == key {
				key = to
			}
		}
		if _, ok := c.cmd.takes(key); !ok {
			return c.usageError("what is -%c?", letter)
		}
		c.on[key] = ""
	}
	return nil
}

// execute carries out a line: commands that are joined by "|".
func (s *Shell) execute(ctx context.Context, line string) error {
	stages, err := parseLine(line)
	if err != nil || len(stages) == 0 {
		return err
	}
	var in io.Reader = strings.NewReader("")
	if s.editor == nil {
		in = s.lines
	}
	pager := s.newPager()
	wait := make(chan error, len(stages))
	for i := range stages {
		st, out := &stages[i], io.Writer(pager)
		last := i == len(stages)-1
		var next *io.PipeReader
		var end *io.PipeWriter
		if !last {
			next, end = io.Pipe()
			out = end
		}
		run := func(in io.Reader) error {
			err := s.stage(ctx, st, in, out)
			if end != nil {
				end.Close()
			}
			if r, ok := in.(*io.PipeReader); ok {
				r.Close() // who writes to it stops
			}
			if errors.Is(err, io.ErrClosedPipe) {
				err = nil
			}
			return err
		}
		if last {
			wait <- run(in)
			break
		}
		from := in
		go func() { wait <- run(from) }()
		in = next
	}
	var failed error
	for range stages {
		if err := <-wait; err != nil && (failed == nil || errors.Is(failed, errNegative)) {
			failed = err
		}
	}
	return failed
}

// stage runs one command of a line, with its redirections.
func (s *Shell) stage(ctx context.Context, st *stage, in io.Reader, out io.Writer) (err error) {
	if st.from != "" {
		f, err := s.ns.Open(st.from)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	if st.to != "" {
		f, oerr := s.ns.OpenFile(st.to, st.toFlags, 0o666)
		if oerr != nil {
			return oerr
		}
		defer func() {
			fi, serr := f.Stat()
			if errors.Is(err, context.Canceled) && serr == nil && fi.Mode().IsRegular() {
				err = &vfs.PartialError{Name: st.to, Err: err}
			}
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}()
		out = f
	}
	words := st.words
	name := words[0].text
	if drive, ok := driveOnly(name); ok && len(words) == 1 {
		return s.ns.SetDrive(drive)
	}
	cmd := lookup(name)
	if cmd == nil && !words[0].quoted {
		if head, tail := splitName(name); head != "" { // cd.. and dir/w
			cmd, name = lookup(head), head
			words = append([]word{{text: head}, {text: tail}}, words[1:]...)
		}
	}
	if cmd == nil {
		return fmt.Errorf("%s: there is no such command: help lists them", name)
	}
	c := &call{Shell: s, ctx: ctx, cmd: cmd, name: strings.ToLower(name), in: in, out: out}
	if err := c.parse(words[1:]); err != nil {
		return err
	}
	return cmd.run(c)
}

// driveOnly reports whether a word is a drive letter with a colon.
func driveOnly(s string) (byte, bool) {
	if len(s) == 2 && s[1] == ':' && 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z' {
		return s[0], true
	}
	return 0, false
}

// splitName divides a command from what DOS lets follow without a blank.
func splitName(s string) (head, tail string) {
	i := strings.IndexAny(s, `/\.`)
	if i <= 0 || lookup(s[:i]) == nil {
		return "", ""
	}
	return s[:i], s[i:]
}
