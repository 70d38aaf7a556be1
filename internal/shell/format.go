package shell

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fatkit/fatkit/volume"
)

var formatCommand = &command{
	name: "format", aliases: []string{"mkfs"},
	usage: "DRIVE [/fs:FAT12|FAT16|FAT32] [/a:CLUSTER] [/v:LABEL] [/y]", brief: "make an empty file system: all data on the drive is lost",
	help:     "/a  bytes of a cluster, such as 4096 or 4K. /y does not ask; in a script it must be there.",
	switches: "fs: a: v: y q", min: 1, max: 1,
	run: func(c *call) error {
		point, err := c.point()
		if err != nil {
			return err
		}
		o := volume.FormatOptions{Type: c.on["fs"], Label: c.on["v"]}
		if a := c.on["a"]; a != "" {
			digits, factor := strings.CutSuffix(strings.ToUpper(a), "K")
			n, err := strconv.Atoi(digits)
			if factor {
				n *= 1024
			}
			if err != nil || n <= 0 || n > 1<<20 {
				return c.usageError("%q is no size of a cluster", a)
			}
			o.ClusterBytes = n
		}
		if !c.has("y") {
			if c.editor == nil {
				return fmt.Errorf("%s all data on it would be lost: /y says yes", colon(point))
			}
			if answer, err := c.ask("All data on "+point+" will be lost. Go on? (Yes/No):", "yn"); err != nil || answer != 'y' {
				return err
			}
		}
		if err := c.ns.Format(c.ctx, point, o); err != nil {
			return err
		}
		i, err := c.ns.Info(point)
		if err != nil {
			return err
		}
		return c.printf("%s %s, serial number %s\n", colon(point), i.Type, i.Serial)
	},
}
