package volume

import (
	"io/fs"
	"strings"
	"unicode/utf8"
)

// MaxPathBytes is the length of the longest path that is taken.
const MaxPathBytes = 4096

// Path is a path, taken apart.
type Path struct {
	Letter byte   // 'A' to 'Z'; 0 if the path names no drive
	Rooted bool   // it begins at a root, not at a current directory
	Rest   string // the elements, with slashes; "." and ".." are still in it
}

// ParsePath takes a path apart. An empty path, one with a NUL byte and one that
// is no UTF-8 is fs.ErrInvalid; one that is too long is [ErrPathTooLong].
func ParsePath(s string) (Path, error) {
	switch {
	case s == "" || strings.IndexByte(s, 0) >= 0:
		return Path{}, fs.ErrInvalid
	case len(s) > MaxPathBytes:
		return Path{}, ErrPathTooLong
	}
	var p Path
	p.Letter, s = cutLetter(s)
	if strings.IndexByte(s, '\\') >= 0 {
		s = strings.ReplaceAll(s, `\`, "/")
	}
	if s != "" && s[0] == '/' {
		p.Rooted = true
		s = strings.TrimLeft(s, "/")
	}
	p.Rest = s
	if !utf8.ValidString(s) {
		return Path{}, fs.ErrInvalid
	}
	return p, nil
}

// cutLetter takes a drive letter and its colon off a path. Without one the
// letter is 0.
func cutLetter(s string) (byte, string) {
	if len(s) >= 2 && s[1] == ':' {
		if c := s[0] &^ 0x20; 'A' <= c && c <= 'Z' {
			return c, s[2:]
		}
	}
	return 0, s
}

// In returns the name, valid by fs.ValidPath, that the path has within its
// volume or tree. dir is the current directory there, which a path that is
// rooted does not depend on.
func (p Path) In(dir string) (string, error) {
	if p.Rooted {
		dir = "."
	}
	switch {
	case p.Rest == "":
		return dir, nil
	case dir == "." && fs.ValidPath(p.Rest):
		return p.Rest, nil // as a rule
	}
	return clean(dir, p.Rest)
}

// clean follows rest from dir. ".." at the root stays there.
func clean(dir, rest string) (string, error) {
	var parts []string
	if dir != "." {
		parts = strings.Split(dir, "/")
	}
	for part := range strings.SplitSeq(rest, "/") {
		switch part {
		case "", ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ".", nil
	}
	name := strings.Join(parts, "/")
	if !fs.ValidPath(name) {
		return "", fs.ErrInvalid
	}
	if len(name) > MaxPathBytes {
		return "", ErrPathTooLong
	}
	return name, nil
}

// last returns the last element of the path, or "".
func (p Path) last() string { return p.Rest[strings.LastIndexByte(p.Rest, '/')+1:] }

// devices are the names of DOS's devices, without their numbers.
var devices = map[string]bool{"NUL": true, "CON": true, "PRN": true, "AUX": true, "CLOCK$": true, "CONIN$": true, "CONOUT$": true}

// deviceName returns the device that DOS takes the element name for, in upper
// case, or "": whatever extension it has, and spaces at its end, do not count.
func deviceName(name string) string {
	base, _, _ := strings.Cut(name, ".")
	base = strings.TrimRight(base, " :")
	if n := len(base); n < 3 || n > 7 || strings.IndexByte("NCPAL", base[0]&^0x20) < 0 {
		return "" // as a rule
	}
	base = strings.ToUpper(base)
	if devices[base] || len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && '1' <= base[3] && base[3] <= '9' {
		return base
	}
	return ""
}
