package shell

import (
	"errors"
	"io/fs"
	"strings"
)

var moveCommand = &command{
	name: "move", aliases: []string{"mv"},
	usage: "SOURCE... TARGET [/y]", brief: "move files and directories, also to another drive",
	switches: "y", unix: "f=y", min: 2, max: -1,
	run: func(c *call) error {
		t := c.newTransfer()
		to := c.args[len(c.args)-1]
		c.args = c.args[:len(c.args)-1]
		var sources []origin
		for _, arg := range c.args {
			items, err := c.expand(strings.TrimRight(arg, `\/`))
			if err != nil {
				return err
			}
			for _, i := range items {
				sources = append(sources, origin{i.path, i.info.Name()})
			}
		}
		if err := t.each(sources, to, t.move); err != nil {
			return err
		}
		return c.printf("%s moved\n", plural(t.files, "file or directory", "files or directories"))
	},
}

// move moves one file or directory, and asks before it replaces another.
func (t *transfer) move(to, from string) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	old, err := t.ns.Stat(to)
	if err == nil && !old.IsDir() && !sameFile(t, to, from) {
		ok, err := t.mayReplace(to)
		if err != nil || !ok {
			return err
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := t.ns.Move(t.ctx, from, to, t.meter.progress()); err != nil {
		return err
	}
	t.files++
	return nil
}

// sameFile reports whether two paths are spellings of one name, so that only
// the spelling changes.
func sameFile(t *transfer, a, b string) bool {
	la, err := t.ns.Locate(a)
	if err != nil {
		return false
	}
	lb, err := t.ns.Locate(b)
	return err == nil && strings.EqualFold(la.String(), lb.String())
}
