package shell

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

var fcCommand = &command{
	name: "fc", aliases: []string{"comp", "cmp", "diff"},
	usage: "FILE FILE [/b]", brief: "compare two files",
	help:     "/b shows the bytes that differ, with their offsets, up to 100; otherwise the\nlines from the first to the last that differ are shown.",
	switches: "b", min: 2, max: 2,
	run: func(c *call) error {
		second := c.args[1]
		if c.isDir(second) {
			_, name := splitPath(c.args[0])
			second = join(second, name)
		}
		return c.withFile(c.args[0], func(_ string, a fs.File) error {
			return c.withFile(second, func(_ string, b fs.File) error {
				d := comparison{call: c, names: [2]string{c.args[0], second}}
				if err := d.compare(a, b); err != nil {
					return err
				}
				return d.report()
			})
		})
	},
}

// maxShown is how many differing bytes fc shows.
const maxShown = 100

// maxText is the size up to which fc shows lines.
const maxText = 16 << 20

// comparison is one run of fc.
type comparison struct {
	*call
	names [2]string
	sizes [2]int64
	texts [2]bytes.Buffer
	diffs []string
	count int64 // bytes that differ
	first int64 // the first of them
}

// compare reads both files.
func (d *comparison) compare(a, b io.Reader) error {
	ra, rb := bufio.NewReaderSize(a, 256<<10), bufio.NewReaderSize(b, 256<<10)
	pa, pb := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); ; off += int64(len(pa)) {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		na, err := io.ReadFull(ra, pa)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("%s: %w", d.names[0], err)
		}
		nb, errB := io.ReadFull(rb, pb)
		if errB != nil && errB != io.EOF && errB != io.ErrUnexpectedEOF {
			return fmt.Errorf("%s: %w", d.names[1], errB)
		}
		d.sizes[0] += int64(na)
		d.sizes[1] += int64(nb)
		d.piece(off, pa[:na], pb[:nb])
		if na == 0 && nb == 0 {
			return nil
		}
	}
}

// piece compares what was read at one offset.
func (d *comparison) piece(off int64, a, b []byte) {
	if !d.has("b") && d.sizes[0] <= maxText && d.sizes[1] <= maxText {
		d.texts[0].Write(a)
		d.texts[1].Write(b)
	}
	n := min(len(a), len(b))
	if bytes.Equal(a[:n], b[:n]) {
		return
	}
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		if d.count++; d.count == 1 {
			d.first = off + int64(i)
		}
		if len(d.diffs) < maxShown {
			d.diffs = append(d.diffs, fmt.Sprintf("%08X: %02X %02X", off+int64(i), a[i], b[i]))
		}
	}
}

// report says what differs.
func (d *comparison) report() error {
	if d.count == 0 && d.sizes[0] == d.sizes[1] {
		return d.printf("no differences\n")
	}
	switch text := d.sizes[0] <= maxText && d.sizes[1] <= maxText && bytes.IndexByte(d.texts[0].Bytes(), 0) < 0; {
	case d.has("b"):
		for _, line := range d.diffs {
			if err := d.printf("%s\n", line); err != nil {
				return err
			}
		}
		if n := d.count - int64(len(d.diffs)); n > 0 {
			if err := d.printf("and %s\n", plural(n, "byte more", "bytes more")); err != nil {
				return err
			}
		}
	case text:
		if err := d.lines(); err != nil {
			return err
		}
	case d.count > 0:
		if err := d.printf("they differ from byte %s on\n", grouped(d.first)); err != nil {
			return err
		}
	}
	for i, other := range [2]int{1, 0} {
		if d.sizes[i] > d.sizes[other] {
			if err := d.printf("%s is longer, by %s\n", show(d.names[i]), plural(d.sizes[i]-d.sizes[other], "byte", "bytes")); err != nil {
				return err
			}
		}
	}
	return errNegative
}

// lines shows both files from the first to the last line that differs, with a
// line around them.
func (d *comparison) lines() error {
	a, b := textLines(d.texts[0].String()), textLines(d.texts[1].String())
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	for i, text := range [2][]string{a, b} {
		if err := d.printf("***** %s\n", show(d.names[i])); err != nil {
			return err
		}
		from, to := max(head-1, 0), min(len(text)-tail+1, len(text))
		for n := from; n < to; n++ {
			if err := d.printf("%5d: %s\n", n+1, show(strings.TrimSuffix(text[n], "\r"))); err != nil {
				return err
			}
		}
	}
	return d.printf("*****\n")
}

// textLines divides a text into lines; a line end at its end begins no other.
func textLines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
