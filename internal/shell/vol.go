package shell

import (
	"fmt"

	"github.com/fatkit/fatkit/volume"
)

var volCommand = &command{
	name: "vol", usage: "[DRIVE]", brief: "show the label and the serial number of a volume", max: 1,
	run: func(c *call) error {
		at, err := c.ns.Locate(c.drive())
		if err != nil {
			return err
		}
		i, err := c.ns.Info(c.drive())
		if err != nil {
			return err
		}
		return c.printf("%s", describe(volumeName(at.String()), i))
	},
}

// drive returns the operand, or the current directory.
func (c *call) drive() string {
	if len(c.args) > 0 {
		return c.args[0]
	}
	return "."
}

// describe says which volume is where.
func describe(where string, i volume.Info) string {
	text := fmt.Sprintf(" Volume in %s is %s\n", where, show(i.Label))
	if i.Label == "" {
		text = fmt.Sprintf(" Volume in %s has no label\n", where)
	}
	if i.Serial != "" {
		text += fmt.Sprintf(" Volume serial number is %s\n", i.Serial)
	}
	return text
}
