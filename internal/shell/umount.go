package shell

var umountCommand = &command{
	name: "umount", aliases: []string{"unmount", "eject"},
	usage: "DRIVE... [/f]", brief: "unmount volumes",
	help:     "/f  also while files are open: they are closed",
	switches: "f", min: 1, max: -1,
	run: func(c *call) error {
		for _, arg := range c.args {
			if err := c.ns.Unmount(arg, c.has("f")); err != nil {
				return err
			}
		}
		return nil
	},
}
