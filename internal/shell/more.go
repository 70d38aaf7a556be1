package shell

import "io/fs"

var moreCommand = &command{
	name: "more", aliases: []string{"less"},
	usage: "[FILE...]", brief: "print files, a screen at a time", max: -1,
	help: "On a terminal every command's long output pages; more is for the end of a line such as `tree | more`.",
	run: func(c *call) error {
		if len(c.args) == 0 {
			return copyBytes(c.ctx, c.out, c.in)
		}
		return c.eachFile(func(name string, f fs.File) error { return copyBytes(c.ctx, c.out, f) })
	},
}
