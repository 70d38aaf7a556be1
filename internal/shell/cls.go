package shell

import "io"

// clearScreen is ECMA-48's ED with 2, erase all, and CUP, home.
const clearScreen = "\x1b[2J\x1b[H"

var clsCommand = &command{
	name: "cls", aliases: []string{"clear"}, brief: "clear the screen",
	run: func(c *call) error {
		if c.editor == nil {
			return nil
		}
		_, err := io.WriteString(c.options.Out, clearScreen)
		return err
	},
}
