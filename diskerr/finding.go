package diskerr

import "fmt"

// Severity grades a [Finding].
type Severity uint8

// The severities, in rising order.
const (
	// Info is a fact worth knowing that breaks no rule.
	Info Severity = iota
	// Warning is unusual or wasteful, but nothing is lost by it: a leaked
	// cluster, a free count that is off.
	Warning
	// Error breaks a rule of the format; data may be lost.
	Error
)

var severityNames = [...]string{"info", "warning", "error"}

func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText writes the severity's name, for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that a checker found. A finding is data: a checker's
// error means that the check itself could not run.
type Finding struct {
	Code       string   `json:"code"`             // stable, kebab-case, such as "cross-linked-chain"
	Severity   Severity `json:"severity"`         //
	Path       string   `json:"path,omitempty"`   // the file concerned, if any
	Offset     int64    `json:"offset"`           // bytes from the start of the medium; -1 if it has no place
	Message    string   `json:"message"`          // one sentence for people
	Repairable bool     `json:"repairable"`       // whether the checker knows a repair
	Repair     string   `json:"repair,omitempty"` // what the repair would do, or did
	Repaired   bool     `json:"repaired"`         // whether it was carried out
}
