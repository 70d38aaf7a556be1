package shell

import "fmt"

var substCommand = &command{
	name: "subst", usage: "[DRIVE DIRECTORY | DRIVE /d]", brief: "give a directory a drive letter, or take it away",
	switches: "d", max: 2,
	run: func(c *call) error {
		switch n := len(c.args); {
		case n == 0:
			for _, m := range c.ns.Mounts() {
				if m.Subst != "" {
					if err := c.printf("%s is %s\n", show(m.Point), show(m.Subst)); err != nil {
						return err
					}
				}
			}
			return nil
		case c.has("d") && n == 1:
			for _, m := range c.ns.Mounts() {
				if m.Subst != "" && inside(m.Point, c.args[0]) {
					return c.ns.Unmount(m.Point, false)
				}
			}
			return fmt.Errorf("%s: stands for no directory: umount unmounts volumes", c.args[0])
		case n == 1 || c.has("d"):
			return c.usageError("the directory is missing")
		}
		return c.ns.Subst(c.args[0], c.args[1])
	},
}
