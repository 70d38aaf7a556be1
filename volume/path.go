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

// plainPath takes a path apart that has a letter, is rooted and leaves nothing
// to be resolved or refused, such as "c:/dir/file": most that programs write.
func plainPath(s string) (letter byte, name string, ok bool) {
	if len(s) < 4 || len(s) > MaxPathBytes || s[2] != '/' || !isPlain(s[3:]) {
		return 0, "", false
	}
	letter, _ = cutLetter(s)
	return letter, s[3:], letter != 0
}

// isPlain is a quick look that finds of most names that fs.ValidPath holds for
// them, and that there is neither a backslash nor a NUL in them.
func isPlain(s string) bool {
	begin := true // of an element
	for i := range len(s) {
		k := kinds[s[i]]
		if k >= dot {
			if begin || k == other {
				return false
			}
			begin = k == slash
			continue
		}
		begin = false
	}
	return !begin
}

// The kinds of bytes that isPlain tells apart.
const (
	letter byte = iota // of a name
	dot
	slash
	other
)

// kinds are those of all bytes.
var kinds = func() (k [256]byte) {
	k['/'], k['.'], k[0], k['\\'] = slash, dot, other, other
	for c := utf8.RuneSelf; c < len(k); c++ {
		k[c] = other
	}
	return k
}()

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
	case dir == "." && (fs.ValidPath(p.Rest)):
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

// endsDevice holds the bytes that the name of a device can end in, blanks and a
// colon behind it included.
var endsDevice = func() (ends [256]bool) {
	for _, c := range []byte("NnXxLl123456789$ :") {
		ends[c] = true
	}
	return ends
}()

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
