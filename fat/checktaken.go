package fat

import "github.com/fatkit/fatkit/internal/format/fatfmt"

// takenNames are the names in one directory. Long and short names share one
// name space; an entry without a long name is known by its short one as both.
type takenNames struct {
	short map[[11]byte]bool
	long  map[string]bool // by their fold key
}

// reset forgets all names and keeps the memory: most directories are alike.
func (t *takenNames) reset() {
	if t.short == nil || len(t.short) > maxKeptNames {
		t.short, t.long = map[[11]byte]bool{}, map[string]bool{}
		return
	}
	clear(t.short)
	clear(t.long)
}

// maxKeptNames is the size of the largest directory whose maps are used for
// the next one. Clearing takes as long as the largest was.
const maxKeptNames = 1000

func (t *takenNames) hasLong(name string) bool { return t.long[fatfmt.FoldKey(name)] }

func (t *takenNames) addLong(name string) { t.long[fatfmt.FoldKey(name)] = true }

// ordinary tells the characters below 80h that are legal in every long name
// and, but for lower case, in every short name too.
var ordinary = func() (is [0x80]bool) {
	for c := range is {
		is[c] = badShortName([11]byte{byte(c), 'A', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}) == ""
	}
	return is
}()

// ordinaryUnits reports whether a long name consists of ordinary characters,
// dots and spaces, and is legal. Others have to be looked at closely.
func ordinaryUnits(units []uint16) bool {
	for _, u := range units {
		if u >= 0x80 || !ordinary[u] && u != '.' && u != ' ' {
			return false
		}
	}
	last := units[len(units)-1]
	return last != '.' && last != ' '
}
