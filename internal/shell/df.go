package shell

import "github.com/fatkit/fatkit/diskerr"

var dfCommand = &command{
	name: "df", usage: "[DRIVE]", brief: "show how full volumes are",
	switches: "h", max: 1,
	run: func(c *call) error {
		var points []string
		if len(c.args) == 1 {
			points = c.args
		} else {
			for _, m := range c.ns.Mounts() {
				if m.Volume != nil && m.Subst == "" {
					points = append(points, m.Point)
				}
			}
		}
		if err := c.printf("%-12s %-7s %10s %10s %10s\n", "Drive", "Type", "Size", "Used", "Free"); err != nil {
			return err
		}
		for _, p := range points {
			i, err := c.ns.Info(p)
			if err != nil {
				return err
			}
			size, used, free := "-", "-", "-"
			if u, err := c.ns.UsageAt(p); err == nil {
				size, used, free = bytesText(u.TotalBytes), bytesText(u.TotalBytes-u.FreeBytes), bytesText(u.FreeBytes)
			}
			if err := c.printf("%-12s %-7s %10s %10s %10s\n", show(p), i.Type, size, used, free); err != nil {
				return err
			}
		}
		return nil
	},
}

func bytesText(n int64) string {
	if n < 0 {
		return "-"
	}
	return diskerr.FormatBytes(n)
}
