package shell

import (
	"fmt"
	"strings"
)

var rdCommand = &command{
	name: "rd", aliases: []string{"rmdir"},
	usage: "DIRECTORY... [/s] [/q]", brief: "remove directories",
	help:     "/s  with all that is in them          /q  without asking",
	switches: "s q", unix: "r=s", min: 1, max: -1,
	run: func(c *call) error {
		for _, arg := range c.args {
			dir := strings.TrimRight(arg, `\/`)
			if !c.isDir(dir) {
				if _, err := c.ns.Stat(dir); err != nil {
					return err
				}
				return fmt.Errorf("%s: is no directory: del deletes files", arg)
			}
			if !c.has("s") {
				if err := c.ns.Remove(dir); err != nil {
					return err
				}
				continue
			}
			if !c.has("q") {
				if answer, err := c.ask(arg+" with all that is in it? (Yes/No):", "yn"); err != nil || answer != 'y' {
					return err
				}
			}
			if err := c.ns.RemoveAll(dir); err != nil {
				return err
			}
		}
		return nil
	},
}
