//go:build linux || darwin

package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// typist sits at a pseudo-terminal with a program behind it.
type typist struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen bytes.Buffer // since the last wait
}

// patience ends a wait for something that does not come. It is no measure of
// speed.
const patience = time.Minute

func newTypist(t *testing.T, cmd *exec.Cmd) *typist {
	t.Helper()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	p := &typist{t: t, tty: tty, cmd: cmd}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { tty.Close() })
	return p
}

// sees waits until a text is on the terminal, and returns what was before it.
func (p *typist) sees(text string) string {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		all := p.seen.String()
		if before, after, ok := strings.Cut(all, text); ok {
			p.seen.Reset()
			p.seen.WriteString(after)
			p.mu.Unlock()
			return before
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			p.t.Fatalf("%q does not come; there is %q", text, all)
		}
	}
}

// types presses keys and waits for a text.
func (p *typist) types(keys, text string) string {
	p.t.Helper()
	if _, err := p.tty.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
	return p.sees(text)
}

// A person works in the shell: editing, completion, history, paging, questions,
// and keys that give up.
func TestShellOnATerminal(t *testing.T) {
	tools.Need(t, "mdir")
	dir := t.TempDir()
	work := filepath.Join(dir, "work")
	if err := os.MkdirAll(filepath.Join(work, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"Long Name.txt": "the content\n", "sub/lines.txt": strings.Repeat("a line\n", 60), "other.txt": "other\n"} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "floppy.img")
	tools.Run(t, product.Binary(t), "mkfs", "--floppy", "1440", image)
	start := func() *typist {
		cmd := exec.Command(product.Binary(t), "shell", "--rw", "a:="+image, "d:="+work)
		cmd.Env = append(os.Environ(), "TERM=xterm", "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return newTypist(t, cmd)
	}
	p := start()
	p.sees(`A:\> `)
	p.types("xco\t", "xcopy ")                       // a command
	p.types("nonsense\x03", `A:\> `)                 // given up by Ctrl-C
	p.types("di\t\t", "dir")                         // two commands
	p.types("\x15ty\t", "type ")                     // Ctrl-U, a command
	p.types(`d:\lo`+"\t", `"d:\Long Name.txt"`)      // a path with a blank, ignoring case
	p.types("\r", "the content")                     // and what it leads to
	p.types("type d:\\s\t", `sub\`)                  // a directory
	p.types("l\t", "lines.txt")                      // and on
	p.types("\r", "-- more")                         // a full screen
	p.types("\r", "-- more")                         // a line
	p.types(" ", "-- more")                          // a screen
	p.types("q", `A:\> `)                            // enough
	p.types("copy d:\\other.txt\r", "1 file copied") // to the current directory
	p.types("copy \"d:\\Long Name.txt\" other.txt\r", "(Yes/No/All):")
	p.types("n\r", "0 files copied")
	p.types("\x1b[A\r", "(Yes/No/All):") // the line before, once more
	p.types("y\r", "1 file copied")
	p.types("copy \"d:\\Long Name.txt\" other.txt\r", "(Yes/No/All):")
	p.types("\x03", "interrupted") // by Ctrl-C at a question, and at input
	p.types("copy con a:\\never.txt\r", "\r\n")
	p.types("half a line\x03", "interrupted")
	p.types("copy con other.txt\r", "\r\n")
	p.types("\x03", "other.txt is left incomplete")
	p.types("copy \"d:\\Long Name.txt\" other.txt /y\r", "1 file copied")
	p.types("type xther.txt\x01\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x1b[3~o\r", "the content") // editing within the line
	p.types("d:\r", `D:\> `)
	p.types("del *.*\r", "(Yes/No):")
	p.types("n\r", `D:\> `)
	p.types("md a:\\made\r", `D:\> `)
	p.types("copy con a:\\typed.txt\r", "\r\n")
	p.types("by hand\r", "\r\n")
	p.types("\x1a\r", "1 file copied")
	p.types("\x04", "") // Ctrl-D leaves
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the shell ended with %v", err)
	}
	for name, want := range map[string]string{"typed.txt": "by hand\n", "other.txt": "the content\n"} {
		if out := tools.Run(t, "mtype", "-i", image, "::"+name); out != want {
			t.Errorf("%s on the floppy holds %q, want %q", name, out, want)
		}
	}
	if out := tools.Run(t, "mdir", "-b", "-i", image); !strings.Contains(out, "made") || strings.Contains(out, "never") {
		t.Errorf("the floppy lists %q", out)
	}
	p = start() // the history is there again
	p.sees(`A:\> `)
	p.types("\x1b[A", "copy con")
	p.types("\x03", `A:\> `)
	p.types("exit\r", "")
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the shell ended with %v", err)
	}
}
