package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"

	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/stack/drivers"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

// Options tune a [Shell].
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal is In if a person sits there: lines can be edited then, long
	// output pages, and the shell asks before it destroys something.
	Terminal *os.File
	// Writable opens volumes for writing, unless they say otherwise.
	Writable bool
	// StopOnError ends at the first command that fails.
	StopOnError bool
	// Progress, if not nil, begins to show on the terminal how far something has
	// come that takes long.
	Progress func(what string) Progress
	// History is the file that keeps the lines a person entered; "" keeps them
	// until the end.
	History string
	Drivers drivers.Options
}

// Progress shows how far something has come.
type Progress interface {
	Update(doneBytes, totalBytes int64)
	Finish() // takes it off the screen; another Update brings it back
}

// Shell is a shell with its volumes.
type Shell struct {
	options Options
	ns      *volume.Namespace
	lines   *bufio.Reader // of what is no terminal
	editor  *editor       // of a terminal
	done    bool          // the command exit
}

// New returns a shell without volumes. Close it.
func New(o Options) *Shell {
	s := &Shell{options: o, lines: bufio.NewReader(o.In)}
	s.ns = volume.New(drivers.New(o.Drivers), volume.Options{
		DeviceNames: true,
		Devices:     map[string]func() vfs.File{"CON": s.console},
	})
	if o.Terminal != nil {
		s.editor = newEditor(s, o.Terminal, o.Out, o.History)
	}
	return s
}

// Mount mounts what a drive stands for.
func (s *Shell) Mount(ctx context.Context, d stack.DriveSpec) error {
	src, err := drivers.Open(ctx, d.Name, d.Options(s.options.Writable))
	if err != nil {
		return err
	}
	if err := s.ns.Mount(ctx, d.Point, src, d.Driver); err != nil {
		if src.Close != nil {
			err = errors.Join(err, src.Close())
		}
		return err
	}
	return nil
}

// Close unmounts everything.
func (s *Shell) Close() error { return s.ns.Close() }

// StatusError is how a shell ends of which a command failed, or found nothing
// or differences. What there is to say was said.
type StatusError struct {
	Failed bool // not only a negative answer
}

func (e *StatusError) Error() string {
	if e.Failed {
		return "a command failed"
	}
	return "a command found nothing, or differences"
}

// errNegative is the result of a command that answers no: find without a
// match, fc with differences. Nothing is printed for it.
var errNegative = errors.New("no")

// Run reads and carries out lines until the input ends or exit is said. Its
// error is a *StatusError by the last command, or with StopOnError by the first
// one that failed; or that of the input.
func (s *Shell) Run(ctx context.Context) error {
	var status error
	for !s.done {
		line, err := s.readLine()
		if err == io.EOF && line == "" {
			break
		}
		if err != nil && err != io.EOF {
			return err
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		status = s.Do(ctx, line)
		if status != nil && s.options.StopOnError {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return status
}

// Do carries out a line, and prints what is wrong with it. Its error is a
// *StatusError.
func (s *Shell) Do(ctx context.Context, line string) error {
	if s.editor != nil { // an interrupt ends the command, and not the shell
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	err := s.execute(ctx, line)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNegative):
		return &StatusError{}
	case errors.Is(err, errQuit):
		return nil
	case errors.Is(err, context.Canceled):
		err = interrupted(err)
	}
	fmt.Fprintln(s.options.Err, show(message(err)))
	return &StatusError{Failed: true}
}

// interrupted is what is said of a command that was interrupted: also which file
// it has left incomplete.
func interrupted(err error) error {
	text := errors.New("interrupted")
	if partial := (*vfs.PartialError)(nil); errors.As(err, &partial) {
		return &vfs.PartialError{Name: partial.Name, Err: text}
	}
	return text
}

// message renders an error in one line.
func message(err error) string {
	text := err.Error()
	var pe *fs.PathError
	switch {
	case errors.As(err, &pe) && pe.Err == volume.ErrNoDrive:
		text = colon(pe.Path) + " there is no such drive: mount lists them"
	case pe != nil && pe.Err == errors.ErrUnsupported:
		text = colon(pe.Path) + " a volume of this kind does not support that: " + pe.Op
	case err == error(pe) && pe != nil:
		text = colon(pe.Path) + " " + pe.Err.Error()
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// readLine returns the next line, without its end.
func (s *Shell) readLine() (string, error) {
	if s.editor != nil {
		return s.editor.readLine(s.prompt())
	}
	line, err := s.lines.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// prompt is the current directory.
func (s *Shell) prompt() string {
	dir, err := s.ns.Getwd(s.ns.Drive())
	if err != nil { // it was unmounted
		dir = string(s.ns.Drive()) + ":?"
	}
	return show(dir) + "> "
}

// ask asks a person, who answers with one of the letters of choices, in lower
// case. Without a person the answer is the first letter.
func (s *Shell) ask(question, choices string) (byte, error) {
	if s.editor == nil {
		return choices[0], nil
	}
	for {
		answer, err := s.editor.question(show(question) + " ")
		if errors.Is(err, context.Canceled) {
			return 0, err
		}
		if err != nil {
			return 0, errQuit
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		if answer != "" && strings.IndexByte(choices, answer[0]) >= 0 {
			return answer[0], nil
		}
	}
}
