package shell

import (
	"errors"
	"io"
	"unicode/utf8"
)

// errQuit says that a person does not want more.
var errQuit = errors.New("stopped")

// pager stops output at each full screen until a key is pressed. It counts the
// lines, those that the terminal wraps included.
type pager struct {
	out  io.Writer
	edit *editor
	rows int // since the last stop
	col  int
	quit bool
}

// newPager returns where the output of a line goes: on a terminal a pager.
func (s *Shell) newPager() io.Writer {
	if s.editor == nil {
		return s.options.Out
	}
	return &pager{out: s.options.Out, edit: s.editor}
}

// pagerPrompt is what stands below a full screen.
const pagerPrompt = "-- more: press a key, q to stop --"

func (p *pager) Write(b []byte) (int, error) {
	if p.quit {
		return 0, errQuit
	}
	width, height := p.edit.size()
	done := 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		i += n
		if p.col++; r != '\n' && p.col < width {
			continue
		}
		p.col = 0
		if p.rows++; p.rows < height-1 {
			continue
		}
		if _, err := p.out.Write(b[done:i]); err != nil {
			return done, err
		}
		done = i
		if err := p.stop(r == '\n'); err != nil {
			return done, err
		}
	}
	_, err := p.out.Write(b[done:])
	return len(b), err
}

// stop waits for a key. Enter shows one line more.
func (p *pager) stop(fresh bool) error {
	if !fresh {
		io.WriteString(p.out, "\n")
	}
	io.WriteString(p.out, pagerPrompt)
	key, err := p.edit.key()
	io.WriteString(p.out, "\r                                  \r")
	switch {
	case err != nil || key == 'q' || key == 'Q' || key == ctrlC:
		p.quit = true
		return errQuit
	case key == '\r' || key == '\n':
		p.rows--
	default:
		p.rows = 0
	}
	return nil
}
