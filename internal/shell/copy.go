package shell

import "fmt"

var copyCommand = &command{
	name: "copy", aliases: []string{"cp"},
	usage: "SOURCE... [TARGET] [/s] [/y]", brief: "copy files",
	help: `Times and attributes are copied, too. Of a directory the files in it are copied;
with /s (cp -r) the directory itself with all below. TARGET is the current
directory if it is left out; it can have wildcards: copy *.txt *.bak. CON is the
terminal, NUL swallows. /y replaces without asking, as scripts always do.`,
	switches: "s y v b", unix: "r=s R=s a=s f=y p=v", min: 1, max: -1,
	run: func(c *call) error {
		t := c.newTransfer()
		to := "."
		if n := len(c.args); n > 1 {
			to, c.args = c.args[n-1], c.args[:n-1]
		}
		sources, err := t.sources()
		if err != nil {
			return err
		}
		if err := t.each(sources, to, t.copyTo); err != nil {
			return err
		}
		return c.printf("%s copied\n", plural(t.files, "file", "files"))
	},
}

// sources returns what the operands name. Without /s a directory stands for the
// files in it.
func (t *transfer) sources() ([]origin, error) {
	var all []origin
	for _, arg := range t.args {
		if !isPattern(arg) {
			if _, last := splitPath(arg); deviceLike(last) && t.isDevice(arg, 0) {
				all = append(all, origin{arg, last})
				continue
			}
		}
		items, err := t.expand(arg)
		if err != nil {
			return nil, err
		}
		for _, i := range items {
			switch {
			case !i.info.IsDir() || t.has("s"):
				all = append(all, origin{i.path, i.info.Name()})
				continue
			case isPattern(arg):
				continue
			case t.name == "cp":
				return nil, fmt.Errorf("%s: is a directory: cp -r copies it", arg)
			}
			files, err := t.list(arg)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				if !f.info.IsDir() {
					all = append(all, origin{f.path, f.info.Name()})
				}
			}
		}
	}
	return all, nil
}
