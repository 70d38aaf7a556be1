package shell

import "strings"

var renCommand = &command{
	name: "ren", aliases: []string{"rename"},
	usage: "FILE NAME", brief: "rename files in their directory: ren *.txt *.bak", min: 2, max: 2,
	run: func(c *call) error {
		if strings.ContainsAny(c.args[1], `\/:`) {
			return c.usageError("%s: a name without a directory is wanted: move moves", c.args[1])
		}
		items, err := c.expand(strings.TrimRight(c.args[0], `\/`))
		if err != nil {
			return err
		}
		t := c.newTransfer()
		for _, i := range items {
			dir, _ := splitPath(i.path)
			name := replaceWildcards(c.args[1], i.info.Name())
			if name == i.info.Name() {
				continue
			}
			if _, err := c.ns.Lstat(dir + name); err == nil && !sameFile(t, dir+name, i.path) {
				return c.usageError("%s: exists already", dir+name)
			}
			if err := c.ns.Rename(i.path, dir+name); err != nil {
				return err
			}
		}
		return nil
	},
}
