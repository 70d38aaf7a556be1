package shell

import "strings"

var echoCommand = &command{
	name: "echo", usage: "[TEXT...]", brief: "print a line, such as into a file: echo text > file.txt", max: -1,
	run: func(c *call) error { return c.printf("%s\n", strings.Join(c.args, " ")) },
}
