package shell

import (
	"io/fs"
	"strings"
)

var mdCommand = &command{
	name: "md", aliases: []string{"mkdir"},
	usage: "DIRECTORY...", brief: "make directories, with those above them",
	switches: "p", min: 1, max: -1,
	run: func(c *call) error {
		for _, arg := range c.args {
			dir := strings.TrimRight(arg, `\/`)
			if _, err := c.ns.Lstat(arg); err == nil && !c.has("p") {
				return &fs.PathError{Op: "mkdir", Path: arg, Err: fs.ErrExist}
			}
			if err := c.ns.MkdirAll(dir, 0o777); err != nil {
				return err
			}
		}
		return nil
	},
}
