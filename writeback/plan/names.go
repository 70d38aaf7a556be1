package plan

import (
	"strings"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// hostName returns the name that an entry gets on the host: the reverse of the
// mapping by which guests are shown the names of the host.
func hostName(e *catalog.Entry, short ShortNames) string {
	name := e.Name
	if !e.Long {
		name = shortName(e, short)
	}
	if host, ok := fatfmt.UnmapName(name); ok {
		return host
	}
	return name // as it is: no host name is shown like this
}

// shortName gives a short name its case. The name of the entry follows the case
// bits already.
func shortName(e *catalog.Entry, short ShortNames) string {
	switch {
	case short == UpperNames:
		return strings.ToUpper(e.Name)
	case short == LowerNames && e.Case&(fatfmt.CaseLowerBase|fatfmt.CaseLowerExt) == 0:
		return strings.ToLower(e.Name)
	}
	return e.Name
}
