package shell

import (
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/vfs"
)

// attributeLetters are the letters of the attributes.
var attributeLetters = map[rune]vfs.Attr{'r': vfs.AttrReadOnly, 'h': vfs.AttrHidden, 's': vfs.AttrSystem, 'a': vfs.AttrArchive}

var attribCommand = &command{
	name: "attrib", usage: "[+r|-r] [+a|-a] [+s|-s] [+h|-h] [FILE...] [/s] [/d]", brief: "show or change attributes",
	help:     "/s  in all directories below, too     /d  directories, too",
	switches: "s d", max: -1,
	run: func(c *call) error {
		b := attrib{call: c}
		files := []string{}
		for _, arg := range c.args {
			ok, err := b.take(arg)
			if err != nil {
				return err
			}
			if !ok {
				files = append(files, arg)
			}
		}
		if len(files) == 0 {
			files = []string{"*"}
		}
		for _, f := range files {
			if err := b.operand(f); err != nil {
				return err
			}
		}
		return nil
	},
}

// attrib is one run of attrib.
type attrib struct {
	*call
	set, clear vfs.Attr
}

// take reads an operand such as +r or +rh.
func (b *attrib) take(arg string) (bool, error) {
	if arg == "" || arg[0] != '+' && arg[0] != '-' {
		return false, nil
	}
	for _, r := range strings.ToLower(arg[1:]) {
		a, ok := attributeLetters[r]
		if !ok {
			return false, b.usageError("%s: the attributes are r, a, s and h", arg)
		}
		if arg[0] == '+' {
			b.set |= a
		} else {
			b.clear |= a
		}
	}
	if b.set&b.clear != 0 {
		return false, b.usageError("an attribute cannot be set and cleared at once")
	}
	return true, nil
}

// operand handles what one operand names.
func (b *attrib) operand(arg string) error {
	if !b.has("s") {
		items, err := b.expand(arg)
		if err != nil {
			return err
		}
		for _, i := range items {
			if isPattern(arg) && (i.info.IsDir() && !b.has("d") || isLink(i)) {
				continue
			}
			if err := b.apply(i.path); err != nil {
				return err
			}
		}
		return nil
	}
	dir, pattern := splitPath(arg)
	if b.isDir(arg) {
		dir, pattern = arg, "*"
	}
	return b.below(dir, pattern, 0)
}

// below handles what matches in a directory and below it.
func (b *attrib) below(dir, pattern string, depth int) error {
	if depth > maxDirDepth {
		return fmt.Errorf("%s: directories are nested too deeply", dir)
	}
	items, err := b.list(dir)
	if err != nil {
		return err
	}
	for _, i := range items {
		if match(pattern, i.info.Name()) && (!i.info.IsDir() || b.has("d")) && !isLink(i) {
			if err := b.apply(i.path); err != nil {
				return err
			}
		}
		if i.info.IsDir() {
			if err := b.below(i.path, pattern, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply shows or changes one file.
func (b *attrib) apply(path string) error {
	if b.set|b.clear != 0 {
		return b.ns.SetAttr(path, b.set, b.clear)
	}
	a, err := b.ns.Attr(path)
	if err != nil {
		return err
	}
	at, err := b.ns.Locate(path)
	if err != nil {
		return err
	}
	letters := []byte("    ")
	for n, r := range "ashr" {
		if a&attributeLetters[r] != 0 {
			letters[n] = byte(r) - 'a' + 'A'
		}
	}
	return b.printf("%s    %s\n", letters, show(at.String()))
}
