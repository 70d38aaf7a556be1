package shell

import "strings"

var labelCommand = &command{
	name: "label", usage: "[DRIVE] [TEXT]", brief: "change the label of a volume",
	help:     `/c removes it. Without TEXT the shell asks for it.`,
	switches: "c", max: -1,
	run: func(c *call) error {
		drive := "."
		if len(c.args) > 0 {
			if _, ok := driveOnly(c.args[0]); ok || strings.HasPrefix(c.args[0], "/") {
				drive, c.args = c.args[0], c.args[1:]
			}
		}
		text := strings.Join(c.args, " ")
		if text == "" && !c.has("c") {
			if c.editor == nil {
				return c.usageError("the text is missing")
			}
			answer, err := c.editor.question("Label, up to 11 characters: ")
			if err != nil {
				return errQuit
			}
			text = strings.TrimSpace(answer)
		}
		return c.ns.SetLabel(drive, text)
	},
}
