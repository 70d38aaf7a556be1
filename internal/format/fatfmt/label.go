package fatfmt

import (
	"strings"
	"unicode/utf8"
)

// LabelBytes is the length of a volume label on the medium.
const LabelBytes = 11

// NoLabel in the boot sector says that the volume has no label: FAT 1.03,
// "Boot Sector and BPB", BS_VolLab.
var NoLabel = [LabelBytes]byte{'N', 'O', ' ', 'N', 'A', 'M', 'E', ' ', ' ', ' ', ' '}

// forbiddenInLabel cannot stand in a label, beside control characters.
// Windows refuses these.
const forbiddenInLabel = `"*+,./:;<=>?[\]|`

// EncodeLabel returns label as it stands on the medium: upper case, in cp,
// padded with spaces. "" gives [NoLabel]. A label that is too long or holds a
// character that is forbidden or missing in cp is a *NameError.
func EncodeLabel(label string, cp *CodePage) ([LabelBytes]byte, error) {
	label = strings.TrimRight(label, " ")
	if label == "" {
		return NoLabel, nil
	}
	if label[0] == ' ' {
		return NoLabel, &NameError{label, "a label cannot begin with a space"}
	}
	var buf []byte
	for _, r := range label {
		if !legalInLabel(r) {
			return NoLabel, &NameError{label, "a label cannot hold " + string(r)}
		}
		var ok bool
		if buf, ok = cp.AppendEncoded(buf, Upper(r)); !ok {
			return NoLabel, &NameError{label, "the code page lacks " + string(Upper(r))}
		}
	}
	if len(buf) > LabelBytes {
		return NoLabel, &NameError{label, "a label has at most 11 bytes"}
	}
	return padLabel(buf), nil
}

// FitLabel makes a label of any text: what a label cannot hold is left out,
// and what is too long is cut. It gives [NoLabel] if nothing remains.
func FitLabel(text string, cp *CodePage) [LabelBytes]byte {
	var buf []byte
	for _, r := range strings.TrimLeft(text, ". ") {
		if !legalInLabel(r) {
			continue
		}
		next, ok := cp.AppendEncoded(buf, Upper(r))
		if ok && len(next) > LabelBytes {
			break
		}
		buf = next
	}
	if s := strings.Trim(string(buf), " "); s != "" {
		return padLabel([]byte(s))
	}
	return NoLabel
}

func legalInLabel(r rune) bool {
	return r >= 0x20 && r != 0x7F && r != utf8.RuneError &&
		(r >= utf8.RuneSelf || strings.IndexByte(forbiddenInLabel, byte(r)) < 0)
}

// padLabel pads p and, as in a short name, stores a leading 0xE5 as 0x05.
func padLabel(p []byte) (label [LabelBytes]byte) {
	copy(label[:], "           ")
	copy(label[:], p)
	if label[0] == slotDeleted {
		label[0] = nameE5
	}
	return label
}

// DecodeLabel returns the label as text, without padding; "" for [NoLabel].
func DecodeLabel(label [LabelBytes]byte, cp *CodePage) string {
	if label == NoLabel {
		return ""
	}
	if label[0] == nameE5 {
		label[0] = slotDeleted
	}
	p := label[:]
	for len(p) > 0 && (p[len(p)-1] == ' ' || p[len(p)-1] == 0) {
		p = p[:len(p)-1]
	}
	return string(cp.AppendDecoded(nil, p))
}
