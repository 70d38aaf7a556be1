package diff

import (
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// maxDirBytes is the size of the largest directory.
const maxDirBytes = fatfmt.MaxDirSlots * fatfmt.DirEntryBytes

// listing is a directory as it is on the disk.
type listing struct {
	entries []catalog.Entry // files and directories, without "." and ".."
	dots    []fatfmt.DirEntry
	label   *[fatfmt.LabelBytes]byte
	raw     []byte
	end     int // slots before the end mark
}

// parse decodes the slots of a directory. Whatever makes the walk of the
// directory invalid is a problem: then nothing that it shows is believed.
func parse(raw []byte, root bool, cp *fatfmt.CodePage) (*listing, problem) {
	l := &listing{raw: raw}
	var long fatfmt.LongName
	slots := len(raw) / fatfmt.DirEntryBytes
	for l.end = 0; l.end < slots; l.end++ {
		slot := slotAt(raw, l.end)
		switch fatfmt.KindOf(slot) {
		case fatfmt.SlotEnd:
			return l, l.finish(root)
		case fatfmt.SlotLong:
			long.Add(slot)
		case fatfmt.SlotLabel:
			long.Drop()
			e := fatfmt.DecodeDirEntry(slot)
			if l.label == nil {
				l.label = &e.Name
			}
		case fatfmt.SlotEntry:
			e := fatfmt.DecodeDirEntry(slot)
			units, _ := long.Take(e.Name)
			if why := wellFormed(&e); why != "" {
				return l, problem(fmt.Sprintf("its slot %d is no entry: %s", l.end, why))
			}
			if e.IsDot() {
				l.dots = append(l.dots, e)
				continue
			}
			l.entries = append(l.entries, newEntry(units, e, l.end, cp))
		default:
			long.Drop()
		}
	}
	return l, l.finish(root)
}

func slotAt(raw []byte, i int) []byte {
	return raw[i*fatfmt.DirEntryBytes : (i+1)*fatfmt.DirEntryBytes]
}

// newEntry gives an entry its name: the long one if that is a text, else the
// short one.
func newEntry(units []uint16, e fatfmt.DirEntry, slot int, cp *fatfmt.CodePage) catalog.Entry {
	out := catalog.Entry{Slot: slot, DirEntry: e, Name: e.ShortName(cp)}
	if len(units) > 0 {
		if s, ok := fatfmt.DecodeUTF16(units); ok {
			out.Name, out.Long = s, true
		}
	}
	return out
}

// wellFormed says what is wrong with an entry; "" if nothing is. It tells a
// torn or foreign sector from a directory, not legal names from others.
func wellFormed(e *fatfmt.DirEntry) string {
	if e.Attr&^0x3F != 0 {
		return fmt.Sprintf("the attribute is %#x", byte(e.Attr))
	}
	for i, c := range e.Name {
		if c < 0x20 && !(i == 0 && c == 0x05) || c == 0x7F || strings.IndexByte(`"*/:<>?\|`, c) >= 0 {
			return fmt.Sprintf("the name has the byte %#x", c)
		}
	}
	if e.Name[0] == ' ' {
		return "the name begins with a space"
	}
	return ""
}

// finish checks what can be checked of a whole directory only.
func (l *listing) finish(root bool) problem {
	for i := l.end; i < len(l.raw)/fatfmt.DirEntryBytes; i++ {
		if first := slotAt(l.raw, i)[0]; first != 0 && first != 0xE5 {
			return problem(fmt.Sprintf("it ends at slot %d, but slot %d is in use", l.end, i))
		}
	}
	if root {
		return ""
	}
	if len(l.dots) != 2 || l.dots[0].Name != fatfmt.DotName || l.dots[1].Name != fatfmt.DotDotName ||
		!l.dots[0].IsDir() || !l.dots[1].IsDir() {
		return `"." and ".." are not there`
	}
	return ""
}

// erased reports whether the slot at which an entry was is marked as deleted,
// or used otherwise, in contrast to being wiped.
func (l *listing) erased(slot int) bool { return slot < l.end }

// hostile says why a name can never be that of a file on a host; "" if it can.
func hostile(name string) problem {
	switch {
	case name == "" || name == "." || name == "..":
		return "its name is none"
	case strings.ContainsAny(name, "/\x00"):
		return "its name has a character that separates names on the host"
	}
	return ""
}
