package shell

// commands lists the commands, in the order of help. A new one is a file and a
// line here.
func commands() []*command {
	return []*command{
		dirCommand, cdCommand, treeCommand, typeCommand, moreCommand, findCommand, fcCommand, echoCommand,
		copyCommand, xcopyCommand, moveCommand, renCommand, delCommand, mdCommand, rdCommand, touchCommand, attribCommand,
		volCommand, labelCommand, dfCommand, chkdskCommand, formatCommand,
		mountCommand, umountCommand, substCommand, clsCommand, helpCommand, exitCommand,
	}
}
