package shell

import (
	"fmt"
	"strings"
)

var helpCommand *command

func init() { // it lists itself
	helpCommand = &command{
		name: "help", aliases: []string{"?"}, usage: "[COMMAND]", brief: "list the commands, or explain one", max: 1,
		run: func(c *call) error {
			if len(c.args) == 1 {
				return c.explain(c.args[0])
			}
			for _, cmd := range commands() {
				name := strings.Join(append([]string{cmd.name}, cmd.aliases...), " ")
				if err := c.printf("%-20s %s\n", name, cmd.brief); err != nil {
					return err
				}
			}
			return c.printf("%s\n", helpEnd)
		},
	}
}

const helpEnd = `
A: makes A the default drive. Switches are written /s or -s, names with blanks "in
quotes". * and ? stand in the last part of a path. > >> < and | redirect. NUL
swallows, CON is the terminal. help COMMAND tells more.`

// explain prints all about a command.
func (c *call) explain(name string) error {
	cmd := lookup(name)
	if cmd == nil {
		return fmt.Errorf("%s: there is no such command: help lists them", name)
	}
	text := fmt.Sprintf("%s\n\n%s\n", strings.TrimSpace(cmd.name+" "+cmd.usage), cmd.brief)
	if cmd.help != "" {
		text += "\n" + cmd.help + "\n"
	}
	if len(cmd.aliases) > 0 {
		text += "\nAlso called " + strings.Join(cmd.aliases, ", ") + ".\n"
	}
	return c.printf("%s", text)
}
