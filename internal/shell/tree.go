package shell

import "fmt"

var treeCommand = &command{
	name: "tree", usage: "[DIRECTORY] [/f] [/a]", brief: "show the directories below one",
	help:     "/f  with the files                    /a  with characters of ASCII alone",
	switches: "f a", max: 1,
	run: func(c *call) error {
		dir := "."
		if len(c.args) == 1 {
			dir = c.args[0]
		}
		at, err := c.ns.Locate(dir)
		if err != nil {
			return err
		}
		if _, err := c.ns.ReadDir(dir); err != nil {
			return err
		}
		if err := c.printf("%s\n", show(at.String())); err != nil {
			return err
		}
		return c.branch(dir, "", 0)
	},
}

// branch prints what is below a directory.
func (c *call) branch(dir, indent string, depth int) error {
	if depth > maxDirDepth {
		return fmt.Errorf("%s: directories are nested too deeply", dir)
	}
	all, err := c.list(dir)
	if err != nil {
		return err
	}
	var shown []item
	for _, i := range all {
		if i.info.IsDir() || c.has("f") {
			shown = append(shown, i)
		}
	}
	fork, last, bar := "├── ", "└── ", "│   "
	if c.has("a") {
		fork, last, bar = "+-- ", `\-- `, "|   "
	}
	for n, i := range shown {
		lead, next := fork, bar
		if n == len(shown)-1 {
			lead, next = last, "    "
		}
		if err := c.printf("%s%s%s\n", indent, lead, show(i.info.Name())); err != nil {
			return err
		}
		if i.info.IsDir() {
			if err := c.branch(i.path, indent+next, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
