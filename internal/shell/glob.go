package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/fatkit/fatkit/vfs"
)

// isPattern reports whether the last part of a path has wildcards.
func isPattern(path string) bool {
	_, last := splitPath(path)
	return strings.ContainsAny(last, "*?")
}

// splitPath divides a path before its last part. dir ends in a slash, a
// backslash or a colon, or is empty.
func splitPath(path string) (dir, last string) {
	i := strings.LastIndexAny(path, `/\`)
	if i < 0 && len(path) > 1 && path[1] == ':' {
		i = 1
	}
	return path[:i+1], path[i+1:]
}

// join appends a name to the path of a directory.
func join(dir, name string) string {
	if dir == "" || strings.HasSuffix(dir, "/") || strings.HasSuffix(dir, `\`) || strings.HasSuffix(dir, ":") {
		return dir + name
	}
	if strings.HasPrefix(dir, "/") {
		return dir + "/" + name
	}
	return dir + `\` + name
}

// match reports whether a name matches a pattern of "*" and "?", without regard
// to case. "*.*" matches every name, as in DOS.
func match(pattern, name string) bool {
	if pattern == "*.*" {
		return true
	}
	return matchFold(strings.ToUpper(pattern), strings.ToUpper(name))
}

// matchFold is match of upper-case text. A "*" is tried with nothing first; on
// a mismatch the last one takes one character more.
func matchFold(pattern, name string) bool {
	starPattern, starName := -1, 0
	p, n := 0, 0
	for n < len(name) {
		r, size := utf8.DecodeRuneInString(name[n:])
		if p < len(pattern) {
			q, width := utf8.DecodeRuneInString(pattern[p:])
			switch {
			case q == '*':
				starPattern, starName = p+1, n
				p++
				continue
			case q == '?' || q == r:
				p, n = p+width, n+size
				continue
			}
		}
		if starPattern < 0 {
			return false
		}
		_, skip := utf8.DecodeRuneInString(name[starName:])
		starName += skip
		p, n = starPattern, starName
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// item is a file or directory that an operand names.
type item struct {
	path string // as a person would write it
	info fs.FileInfo
}

// list returns what is in a directory, by name.
func (c *call) list(dir string) ([]item, error) {
	at := dir
	if at == "" {
		at = "."
	}
	entries, err := c.ns.ReadDir(at)
	if err != nil {
		return nil, err
	}
	items := make([]item, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item{join(dir, e.Name()), info})
	}
	return items, nil
}

// expand returns what an operand names: all that matches its wildcards, or the
// one file of that name. Nothing is an error.
func (c *call) expand(path string) ([]item, error) {
	if !isPattern(path) {
		info, err := c.ns.Lstat(path)
		if err != nil {
			return nil, err
		}
		return []item{{path, info}}, nil
	}
	dir, pattern := splitPath(path)
	all, err := c.list(dir)
	if err != nil {
		return nil, err
	}
	var found []item
	for _, i := range all {
		if match(pattern, i.info.Name()) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return nil, &fs.PathError{Op: "expand", Path: path, Err: fmt.Errorf("no name matches: %w", fs.ErrNotExist)}
	}
	return found, nil
}

// isDir reports whether a path names a directory that is there.
func (c *call) isDir(path string) bool {
	fi, err := c.ns.Stat(path)
	return err == nil && fi.IsDir()
}

// isLink reports whether a file is a symbolic link, which may lead nowhere, or
// to where nobody gets from its volume.
func isLink(i item) bool { return i.info.Mode()&fs.ModeSymlink != 0 }

// hidden reports whether DOS leaves a file out of lists.
func (c *call) hidden(i item) (bool, error) {
	if isLink(i) {
		return false, nil
	}
	a, err := c.ns.Attr(i.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return false, nil // it went meanwhile
	}
	return a&(vfs.AttrHidden|vfs.AttrSystem) != 0, err
}

// replaceWildcards makes a name of another by a pattern: "*" takes what is left
// of its part of the name, "?" one character. The parts are what is before and
// after the last dot, as ren in DOS does it.
func replaceWildcards(pattern, name string) string {
	if !strings.ContainsAny(pattern, "*?") {
		return pattern
	}
	cut := func(s string) (base, ext string) {
		if i := strings.LastIndexByte(s, '.'); i > 0 {
			return s[:i], s[i:]
		}
		return s, ""
	}
	pb, pe := cut(pattern)
	nb, ne := cut(name)
	out := replacePart(pb, nb)
	if pe != "" {
		out += "." + replacePart(pe[1:], strings.TrimPrefix(ne, "."))
	}
	return strings.TrimSuffix(out, ".")
}

func replacePart(pattern, part string) string {
	var b strings.Builder
	rest := []rune(part)
	for _, r := range pattern {
		switch {
		case r == '*':
			b.WriteString(string(rest))
			return b.String()
		case r == '?':
			if len(rest) > 0 {
				b.WriteRune(rest[0])
			}
		default:
			b.WriteRune(r)
		}
		if len(rest) > 0 {
			rest = rest[1:]
		}
	}
	return b.String()
}
