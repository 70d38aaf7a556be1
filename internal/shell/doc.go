// Package shell is fatkit's interactive shell: a prompt with drive letters,
// the commands that people know from DOS, and their Unix names as aliases, over
// the volumes of package volume.
//
// [Shell.Run] reads lines from a person or a script. A line is split into words
// at blanks; double quotes keep blanks, and a backslash is part of a path. ">",
// ">>" and "<" redirect, "|" joins commands, and a line that begins with "#" or
// "rem" is left alone. Switches are written as in DOS (/s) or as in Unix (-r);
// what is no switch of the command is a path. Wildcards stand in the last part
// of a path and ignore case.
//
// One command is one file, with one line in the list of commands.go. What
// several share: wildcards (glob.go), copying (transfer.go), paging (pager.go),
// editing of lines (editor.go) and completion (complete.go).
package shell
