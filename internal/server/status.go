package server

import (
	"time"

	"github.com/fatkit/fatkit/stack"
)

// Status is what a server says of itself.
type Status struct {
	Version string         `json:"version"`
	PID     int            `json:"pid"`
	Started time.Time      `json:"started"`
	Control string         `json:"control"` // path of the control socket
	Listen  []string       `json:"listen"`  // as in the command line: unix:PATH, tcp:HOST:PORT
	Exports []ExportStatus `json:"exports"`
}

// ExportStatus is the state of one export.
type ExportStatus struct {
	Name        string           `json:"name"`
	Aliases     []string         `json:"aliases"`
	Description string           `json:"description"`
	Source      string           `json:"source"`
	URIs        []string         `json:"uris"`
	ReadOnly    bool             `json:"read_only"`
	Refresh     string           `json:"refresh"` // "never" or "disconnect"
	OnBootRead  bool             `json:"refresh_on_boot_read"`
	Generation  GenerationStatus `json:"generation"`
	Clients     int              `json:"clients"`
	Lost        int              `json:"lost_connections"` // that a client may come back to
	Pending     bool             `json:"pending"`          // a new generation begins when the guest is reset
	Failure     *Failure         `json:"failure,omitempty"`
	Changed     int              `json:"changed_files"` // host files whose reads fail since they changed
	Examples    []string         `json:"changed_examples,omitempty"`
	Traffic     Traffic          `json:"traffic"`

	// Writing is about a directory that takes writes; nil for others.
	Writing *stack.WriteStatus `json:"writing,omitempty"`
}

// GenerationStatus describes the current generation.
type GenerationStatus struct {
	Number int `json:"number"`
	stack.Facts
}

// Traffic counts what clients have asked of an export since the server began.
type Traffic struct {
	Connections  uint64 `json:"connections"`
	Requests     uint64 `json:"requests"`
	Errors       uint64 `json:"errors"` // requests answered with an error
	BytesRead    uint64 `json:"bytes_read"`
	BytesWritten uint64 `json:"bytes_written"`
}

// maxChangedExamples is how many changed files are kept by name.
const maxChangedExamples = 8

// changedFiles remembers which host files changed under a generation.
type changedFiles struct {
	count    int
	examples []string
}

func (c *changedFiles) add(path string) {
	c.count++
	if len(c.examples) < maxChangedExamples {
		c.examples = append(c.examples, path)
	}
}

// status describes the export, but for what only the server knows.
func (e *export) status() ExportStatus {
	s := e.ownStatus()
	// Not under mu: a source may be telling something while it holds its lock.
	if w, ok := e.source.(stack.Writing); ok {
		status := w.WriteStatus()
		s.Writing = &status
	}
	return s
}

func (e *export) ownStatus() ExportStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := ExportStatus{
		Name: e.name, Aliases: append([]string{}, e.aliases...), Description: e.description, Source: e.source.Path(), ReadOnly: e.disk.limits.ReadOnly,
		Refresh: e.policy.String(), OnBootRead: e.policy.OnBootRead,
		Generation: GenerationStatus{e.number, e.current.Facts},
		Clients:    e.attached, Lost: e.lost, Pending: e.pending, Failure: e.failure,
		Changed: e.changed.count, Examples: append([]string(nil), e.changed.examples...),
	}
	return s
}

// String returns the word of the option --refresh.
func (p RefreshPolicy) String() string {
	if p.OnDisconnect {
		return "disconnect"
	}
	return "never"
}
