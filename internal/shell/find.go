package shell

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

var findCommand = &command{
	name: "find", aliases: []string{"grep"},
	usage: `"TEXT" [FILE...] [/i] [/v] [/c] [/n]`, brief: "print the lines that hold a text",
	help:     "/i  upper and lower case are the same     /v  the lines without the text\n/c  count the lines                       /n  number them",
	switches: "i v c n", min: 1, max: -1,
	run: func(c *call) error {
		f := finder{call: c, text: c.args[0]}
		if c.has("i") {
			f.text = strings.ToUpper(f.text)
		}
		c.args = c.args[1:]
		if len(c.args) == 0 {
			if err := f.search("", c.in); err != nil {
				return err
			}
		}
		err := c.eachFile(func(name string, file fs.File) error {
			if err := c.printf("---------- %s\n", show(strings.ToUpper(name))); err != nil {
				return err
			}
			return f.search(name, file)
		})
		if err == nil && f.found == 0 {
			err = errNegative
		}
		return err
	},
}

// finder is one run of find.
type finder struct {
	*call
	text  string
	found int64
}

// maxLine is the length of the longest line that is looked at, in bytes.
const maxLine = 1 << 20

// search looks at the lines of one input.
func (f *finder) search(name string, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	var n, found int64
	for lines.Scan() {
		n++
		line := lines.Text()
		at := line
		if f.has("i") {
			at = strings.ToUpper(line)
		}
		if strings.Contains(at, f.text) == f.has("v") {
			continue
		}
		found++
		if f.has("c") {
			continue
		}
		if f.has("n") {
			line = fmt.Sprintf("[%d]%s", n, line)
		}
		if err := f.printf("%s\n", line); err != nil {
			return err
		}
	}
	f.found += found
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: line %d: %w", name, n+1, err)
	}
	if f.has("c") {
		return f.printf("%d\n", found)
	}
	return nil
}
