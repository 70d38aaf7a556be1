package shell

import "strings"

var cdCommand = &command{
	name: "cd", aliases: []string{"chdir", "pwd"},
	usage: "[PATH] [/d]", brief: "show or change the current directory of a drive",
	help: `cd A:\DIR changes the directory of drive A alone; with /d, drive A becomes the
default drive, too. A drive alone, such as A:, does only that. "cd A:" shows the directory.`,
	switches: "d", max: 1,
	run: func(c *call) error {
		if len(c.args) == 1 {
			if letter, ok := driveOnly(c.args[0]); !ok || c.has("d") {
				if err := c.ns.Chdir(c.args[0]); err != nil {
					return err
				}
				if l, ok := driveOnly(c.args[0][:min(2, len(c.args[0]))]); ok && c.has("d") {
					return c.ns.SetDrive(l)
				}
				return nil
			} else if dir, err := c.ns.Getwd(letter); err != nil {
				return err
			} else {
				return c.printf("%s\n", show(dir))
			}
		}
		dir, err := c.ns.Getwd(c.ns.Drive())
		if err != nil {
			return err
		}
		return c.printf("%s\n", show(dir))
	},
}

// volumeName returns the mount point that an absolute path begins with, for
// messages: "drive A", or the path.
func volumeName(path string) string {
	if len(path) > 1 && path[1] == ':' {
		return "drive " + strings.ToUpper(path[:1])
	}
	return path
}
