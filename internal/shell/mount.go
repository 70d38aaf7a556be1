package shell

import (
	"strings"

	"github.com/fatkit/fatkit/stack"
)

var mountCommand = &command{
	name: "mount", usage: "[DRIVE NAME[,OPTIONS]]", brief: "list volumes, or mount one: mount b: disk.qcow2,partition=2",
	help: `NAME is an image, a directory, a block device, a zip or tar archive, or the URI of
an NBD server, of the host. DRIVE is a letter with a colon, or a path such as
/mnt/x. Options: partition=N offset=BYTES format=raw|qcow2 driver=NAME ro rw. Volumes are
read-only unless the shell was started with --rw, or the option rw is given.`,
	max: 2,
	run: func(c *call) error {
		switch len(c.args) {
		case 0:
			return c.mounts()
		case 1:
			return c.usageError("the name is missing")
		}
		d, err := stack.ParseDrive(strings.TrimSuffix(c.args[0], ":") + "=" + c.args[1])
		if err != nil {
			return err
		}
		return c.Mount(c.ctx, d)
	},
}

// mounts lists what is mounted.
func (c *call) mounts() error {
	for _, m := range c.ns.Mounts() {
		text := "busy"
		if m.Volume != nil {
			i, err := m.Volume.Info()
			if err != nil {
				text = err.Error()
			} else {
				text = strings.TrimSpace(show(i.Source) + "  " + i.Type)
			}
			if i.ReadOnly {
				text += ", read-only"
			}
			if m.Subst != "" {
				text = "is " + show(m.Subst)
			}
			if n := m.Volume.OpenFiles(); n > 0 {
				text += ", " + plural(int64(n), "open file", "open files")
			}
		}
		if err := c.printf("%-4s %s\n", show(m.Point), text); err != nil {
			return err
		}
	}
	return nil
}
