package shell

import (
	"fmt"
	"strings"
)

var xcopyCommand = &command{
	name: "xcopy", usage: "SOURCE [TARGET] [/s] [/e] [/h] [/d] [/l] [/y]", brief: "copy what is in a directory into another",
	help: `TARGET is made if need be.            /s  with the directories below that hold files
/e  with the empty ones, too          /h  hidden and system files, too
/d  only what is newer                /l  only list what would be copied
/y  replace without asking`,
	switches: "s e h d l y i q k r c", unix: "r=e R=e f=y", min: 1, max: 2,
	run: func(c *call) error {
		x := xcopy{transfer: c.newTransfer(), pattern: "*"}
		from, to := c.args[0], "."
		if len(c.args) > 1 {
			to = c.args[1]
		}
		if !c.isDir(from) {
			from, x.pattern = splitPath(from)
			if from == "" {
				from = "."
			}
			if !isPattern(x.pattern) {
				if _, err := c.ns.Stat(c.args[0]); err != nil {
					return err
				}
			}
		}
		a, err := c.ns.Locate(from)
		if err != nil {
			return err
		}
		b, err := c.ns.Locate(to)
		if err != nil {
			return err
		}
		if inside(a.String(), b.String()) && (c.has("s") || c.has("e")) {
			return fmt.Errorf("%s: a directory cannot be copied into itself", c.args[0])
		}
		x.meter.sources = []string{from}
		defer x.meter.pause()
		if err := x.directory(strings.TrimRight(to, `\/`), from, 0); err != nil {
			return err
		}
		what := "copied"
		if c.has("l") {
			what = "would be copied"
		}
		return c.printf("%s %s\n", plural(x.files, "file", "files"), what)
	},
}

// inside reports whether the directory b is a or lies below it.
func inside(a, b string) bool {
	a, b = strings.ToUpper(strings.TrimRight(a, `\/`)), strings.ToUpper(strings.TrimRight(b, `\/`))
	return a == b || strings.HasPrefix(b, a+`\`) || strings.HasPrefix(b, a+"/")
}

// xcopy is one run of xcopy.
type xcopy struct {
	*transfer
	pattern string
}

// directory copies one directory's files that match, and then those below.
func (x *xcopy) directory(to, from string, depth int) error {
	if depth > maxDirDepth {
		return fmt.Errorf("%s: directories are nested too deeply", from)
	}
	items, err := x.list(from)
	if err != nil {
		return err
	}
	made := x.has("l")
	mkdir := func() error {
		if made {
			return nil
		}
		made = true
		if strings.HasSuffix(to, ":") || to == "" {
			return nil
		}
		return x.ns.MkdirAll(to, 0o777)
	}
	if depth == 0 || x.has("e") {
		if err := mkdir(); err != nil {
			return err
		}
	}
	for _, i := range items {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if h, err := x.hidden(i); err != nil {
			return err
		} else if h && !x.has("h") {
			continue
		}
		target := join(to, i.info.Name())
		if to == "" {
			target = `\` + i.info.Name()
		}
		if i.info.IsDir() {
			if x.has("s") || x.has("e") {
				err = x.directory(target, i.path, depth+1)
			}
		} else if match(x.pattern, i.info.Name()) {
			if err = mkdir(); err == nil {
				err = x.file(target, i)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file copies one file.
func (x *xcopy) file(to string, i item) error {
	if x.has("d") {
		if old, err := x.ns.Stat(to); err == nil && !i.info.ModTime().After(old.ModTime()) {
			return nil
		}
	}
	x.meter.pause()
	if err := x.printf("%s\n", show(i.path)); err != nil {
		return err
	}
	if x.has("l") {
		x.files++
		return nil
	}
	if isLink(i) {
		if fi, err := x.ns.Stat(i.path); err == nil && fi.IsDir() {
			return nil // as xcopy of a tree that has links to directories: no loops
		}
	}
	return x.copyTo(to, i.path)
}
