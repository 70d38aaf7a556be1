package shell

import (
	"fmt"
	"io/fs"

	"github.com/fatkit/fatkit/vfs"
)

var delCommand = &command{
	name: "del", aliases: []string{"erase", "rm"},
	usage: "FILE... [/p] [/s] [/f] [/q]", brief: "delete files",
	help: `/p  ask for each file                 /s  in all directories below, too
/f  read-only files, too              /q  do not ask before all of a directory goes
Of a directory the files in it are deleted. rm -r deletes a directory with all below.`,
	switches: "p s f q r", unix: "R=r i=p", min: 1, max: -1,
	run: func(c *call) error {
		for _, arg := range c.args {
			if err := c.del(arg); err != nil {
				return err
			}
		}
		return nil
	},
}

// del deletes what one operand names.
func (c *call) del(arg string) error {
	isDir := !isPattern(arg) && c.isDir(arg)
	if isDir && c.name == "rm" && !c.has("r") {
		return fmt.Errorf("%s: is a directory: rm -r deletes it", arg)
	}
	dir, pattern := arg, "*"
	if !isDir {
		dir, pattern = splitPath(arg)
	}
	if all := pattern == "*" || pattern == "*.*"; all && !c.has("q") && !c.has("f") {
		if answer, err := c.ask(arg+": all of it? (Yes/No):", "yn"); err != nil || answer != 'y' {
			return err
		}
	}
	if isDir && c.has("r") {
		return c.ns.RemoveAll(arg)
	}
	if !isPattern(arg) && !isDir && !c.has("s") {
		fi, err := c.ns.Lstat(arg)
		if err != nil {
			if c.name == "rm" && c.has("f") {
				return nil
			}
			return err
		}
		return c.delFile(item{arg, fi})
	}
	n, err := c.delIn(dir, pattern, 0)
	if err == nil && n == 0 && !isDir && !(c.name == "rm" && c.has("f")) {
		err = &fs.PathError{Op: "del", Path: arg, Err: fs.ErrNotExist}
	}
	return err
}

// delIn deletes what matches in a directory, and with /s below it. It returns
// how much matched.
func (c *call) delIn(dir, pattern string, depth int) (int, error) {
	if depth > maxDirDepth {
		return 0, fmt.Errorf("%s: directories are nested too deeply", dir)
	}
	items, err := c.list(dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, i := range items {
		if err := c.ctx.Err(); err != nil {
			return n, err
		}
		switch m := match(pattern, i.info.Name()); {
		case i.info.IsDir() && m && c.has("r"):
			n++
			err = c.ns.RemoveAll(i.path)
		case i.info.IsDir() && c.has("s"):
			var sub int
			sub, err = c.delIn(i.path, pattern, depth+1)
			n += sub
		case !i.info.IsDir() && m:
			n++
			err = c.delFile(i)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// delFile deletes one file. A read-only one stays without /f, as in DOS.
func (c *call) delFile(i item) error {
	if !isLink(i) && !c.has("f") {
		a, err := c.ns.Attr(i.path)
		if err != nil {
			return err
		}
		if a&vfs.AttrReadOnly != 0 {
			return fmt.Errorf("%s: is read-only: /f deletes it", i.path)
		}
	}
	if c.has("p") {
		if answer, err := c.ask("Delete "+i.path+"? (Yes/No):", "yn"); err != nil || answer != 'y' {
			return err
		}
	}
	return c.ns.Remove(i.path)
}
