package vvfat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fatkit/fatkit/diskerr"
)

// RendererVersion changes whenever the same tree and the same options give
// other bytes. Who keeps a layout for later, with what was written to its disk,
// keeps this number with it and refuses another one.
const RendererVersion = 1

// savedOptions are Options in JSON. The names of those that the user gives are
// those of their flags.
type savedOptions struct {
	FAT           int       `json:"fat,omitempty"`
	SizeBytes     int64     `json:"size,omitempty"`
	ClusterBytes  int       `json:"cluster,omitempty"`
	SectorBytes   int       `json:"sector,omitempty"`
	Table         TableKind `json:"table,omitempty"`
	ESP           bool      `json:"esp,omitempty"`
	FloppyKiB     int       `json:"floppy,omitempty"`
	Label         string    `json:"label,omitempty"`
	NoLabel       bool      `json:"no-label,omitempty"`
	Serial        *uint32   `json:"serial,omitempty"`
	DiskSignature *uint32   `json:"disk-signature,omitempty"`
	OEM           string    `json:"oem,omitempty"`
	CodePage      int       `json:"codepage,omitempty"`
	BootSector    []byte    `json:"boot-sector,omitempty"`
	MBR           []byte    `json:"mbr,omitempty"`
	Location      []byte    `json:"timezone,omitempty"` // TZif
	LocationName  string    `json:"timezone-name,omitempty"`
	ClampTime     int64     `json:"SOURCE_DATE_EPOCH,omitempty"` // seconds since 1970; 0 for none
	HideDotFiles  bool      `json:"hide-dotfiles,omitempty"`
	ReserveRoot   int       `json:"reserve-root,omitempty"`
	First         []string  `json:"first,omitempty"`
	Name          string    `json:"name,omitempty"`
	QEMU          bool      `json:"qemu,omitempty"`
}

// save returns what is saved of o: all but Keep and Warn.
func (o *Options) save() savedOptions {
	s := savedOptions{
		FAT: o.FAT, SizeBytes: o.SizeBytes, ClusterBytes: o.ClusterBytes, SectorBytes: o.SectorBytes,
		Table: o.Table, ESP: o.ESP, FloppyKiB: o.FloppyKiB, Label: o.Label, NoLabel: o.NoLabel,
		Serial: o.Serial, DiskSignature: o.DiskSignature, OEM: o.OEM, CodePage: o.CodePage,
		BootSector: o.BootSector, MBR: o.MBR, HideDotFiles: o.HideDotFiles, ReserveRoot: o.ReserveRoot,
		First: o.First, Name: o.Name, QEMU: o.QEMU,
	}
	if o.Location != nil {
		s.Location, s.LocationName = encodeZone(o.Location), o.Location.String()
	}
	if !o.ClampTime.IsZero() {
		s.ClampTime = o.ClampTime.Unix()
	}
	return s
}

// options returns the options that were saved.
func (s *savedOptions) options() (Options, error) {
	o := Options{
		FAT: s.FAT, SizeBytes: s.SizeBytes, ClusterBytes: s.ClusterBytes, SectorBytes: s.SectorBytes,
		Table: s.Table, ESP: s.ESP, FloppyKiB: s.FloppyKiB, Label: s.Label, NoLabel: s.NoLabel,
		Serial: s.Serial, DiskSignature: s.DiskSignature, OEM: s.OEM, CodePage: s.CodePage,
		BootSector: s.BootSector, MBR: s.MBR, HideDotFiles: s.HideDotFiles, ReserveRoot: s.ReserveRoot,
		First: s.First, Name: s.Name, QEMU: s.QEMU,
	}
	if s.Location != nil {
		loc, err := time.LoadLocationFromTZData(s.LocationName, s.Location)
		if err != nil {
			return o, fmt.Errorf("time zone %q: %w", s.LocationName, err)
		}
		o.Location = loc
	}
	if s.ClampTime != 0 {
		o.ClampTime = time.Unix(s.ClampTime, 0)
	}
	return o, nil
}

// DiffOptions returns the name of the first option in which a and b differ, or
// "". Keep, Name and Warn are not compared, and zones by their names: what the
// rules of a zone are the host may learn anew.
func DiffOptions(a, b Options) string {
	as, bs := a.save(), b.save()
	as.Location, bs.Location = nil, nil
	as.Name, bs.Name = "", ""
	fields := func(s savedOptions) map[string]json.RawMessage {
		p, err := json.Marshal(s)
		m := map[string]json.RawMessage{}
		if err == nil {
			err = json.Unmarshal(p, &m)
		}
		if err != nil {
			panic("vvfat: options do not become JSON: " + err.Error())
		}
		return m
	}
	am, bm := fields(as), fields(bs)
	first := ""
	for _, m := range []map[string]json.RawMessage{am, bm} {
		for name := range m {
			if !bytes.Equal(am[name], bm[name]) && (first == "" || name < first) {
				first = name
			}
		}
	}
	return first
}

// savedLayout is what a layout is made from, beside its tree.
type savedLayout struct {
	Renderer int          `json:"renderer"`
	Options  savedOptions `json:"options"`
	Identity Identity     `json:"identity"`
}

// EncodeHead returns what makes the layout again together with its tree
// ([Tree.Encode]): options, identity and version of the renderer, in JSON.
func (l *Layout) EncodeHead() ([]byte, error) {
	return json.Marshal(savedLayout{RendererVersion, l.given.save(), l.id})
}

// DecodeLayout makes the layout again whose head and tree were saved. It shows
// the same bytes as the one that was saved. A head of another renderer is a
// *diskerr.FeatureError.
func DecodeLayout(head []byte, t *Tree) (*Layout, error) {
	var s savedLayout
	d := json.NewDecoder(bytes.NewReader(head))
	if err := d.Decode(&s); err != nil {
		return nil, &diskerr.FormatError{Format: "fatkit layout", Structure: "head", Offset: -1, Reason: err.Error()}
	}
	if s.Renderer != RendererVersion {
		return nil, &diskerr.FeatureError{Format: "fatkit layout", Names: []string{
			fmt.Sprintf("disk of renderer version %d (this program has %d)", s.Renderer, RendererVersion)}}
	}
	o, err := s.Options.options()
	if err != nil {
		return nil, &diskerr.FormatError{Format: "fatkit layout", Structure: "head", Offset: -1, Reason: err.Error()}
	}
	given := o
	o.Keep = &s.Identity
	l, err := NewLayout(t, o)
	if err != nil {
		return nil, err
	}
	l.given = given
	return l, nil
}
