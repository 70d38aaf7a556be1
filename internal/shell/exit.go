package shell

var exitCommand = &command{
	name: "exit", aliases: []string{"quit", "bye"}, brief: "leave the shell; everything is unmounted",
	run: func(c *call) error {
		c.done = true
		return nil
	},
}
