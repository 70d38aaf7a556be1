package fatfmt

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// NameError says why a name or a label cannot stand on a FAT volume. It
// matches fs.ErrInvalid.
type NameError struct {
	Name   string
	Reason string
}

func (e *NameError) Error() string { return fmt.Sprintf("illegal name %q: %s", e.Name, e.Reason) }

// Is reports whether target is fs.ErrInvalid.
func (e *NameError) Is(target error) bool { return target == fs.ErrInvalid }

// ValidateName checks that name can be written as a long name as it is: valid
// UTF-8, 1 to MaxNameUnits UTF-16 code units, no control characters, none of
// `"*/:<>?\|`, no trailing dot or space (which systems strip), not "." or "..".
// FAT 1.03, "Name Limits and Character Sets". The error is a *NameError.
func ValidateName(name string) error {
	switch {
	case name == "":
		return &NameError{name, "it is empty"}
	case !utf8.ValidString(name):
		return &NameError{name, "it is not valid UTF-8"}
	case UTF16Len(name) > MaxNameUnits:
		return &NameError{name, fmt.Sprintf("it has more than %d UTF-16 code units", MaxNameUnits)}
	case endsInStripped(name):
		return &NameError{name, "it ends with a dot or a space"}
	}
	for _, r := range name {
		if r < 0x20 {
			return &NameError{name, fmt.Sprintf("it holds the control character %#02x", r)}
		}
		if forbidden(r) {
			return &NameError{name, fmt.Sprintf("it holds %q", r)}
		}
	}
	return nil
}

// forbidden reports whether r is legal in no name at all.
func forbidden(r rune) bool {
	return r < 0x20 || r < utf8.RuneSelf && strings.IndexByte(`"*/:<>?\|`, byte(r)) >= 0 ||
		r == 0xFFFE || r == 0xFFFF // the units that pad a long name, and their byte-swapped twin
}

// endsInStripped reports whether systems would strip the end of name.
func endsInStripped(name string) bool {
	return strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")
}

// TrimName strips trailing dots and spaces, which a lookup ignores: FAT 1.03,
// "Name Limits and Character Sets". "." and ".." stay.
func TrimName(name string) string {
	if name == "." || name == ".." {
		return name
	}
	return strings.TrimRight(name, ". ")
}

// FoldKey returns the key under which a directory knows name: two names with
// the same key are the same name. It is the name in upper case by simple
// Unicode mapping, character by character.
func FoldKey(name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; 'a' <= c && c <= 'z' || c >= utf8.RuneSelf {
			return strings.Map(Upper, name)
		}
	}
	return name
}

// EqualNames reports whether a directory takes a and b for the same name.
func EqualNames(a, b string) bool {
	for a != "" && b != "" {
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb && Upper(ra) != Upper(rb) {
			return false
		}
		a, b = a[na:], b[nb:]
	}
	return a == b
}

// IsDeviceName reports whether Windows takes name for a device, such as "con"
// or "LPT1.txt". Such names are legal on the medium.
func IsDeviceName(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CLOCK$":
		return true
	}
	return len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) &&
		base[3] >= '1' && base[3] <= '9'
}
