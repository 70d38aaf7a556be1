package statedir

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/vvfat"
)

// A manifest in bytes:
//
//	"fatkit manifest 1\n"
//	length of the head, 4 bytes, little-endian
//	CRC-32C of the head, 4 bytes
//	head: JSON
//	tree: as vvfat.Tree.Encode has it, with a checksum of its own
const manifestMagic = "fatkit manifest 1\n"

const maxHeadBytes = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Manifest is what the base of a generation is made of. A restart presents
// exactly the disk of its layout.
type Manifest struct {
	Layout *vvfat.Layout
	Scan   ScanSettings
	// Extra is what the caller adds, in JSON.
	Extra json.RawMessage
}

// ScanSettings are the options of a scan that decide what a disk shows.
type ScanSettings struct {
	Exclude    []string `json:"exclude,omitempty"`
	Symlinks   string   `json:"symlinks,omitempty"`
	TooLarge   string   `json:"too-large,omitempty"`
	Unreadable string   `json:"unreadable,omitempty"`
}

// SettingsOf returns the settings of a scan.
func SettingsOf(o vvfat.ScanOptions) ScanSettings {
	return ScanSettings{o.Exclude, o.Symlinks.String(), o.TooLarge.String(), o.Unreadable.String()}
}

// head is the JSON of a manifest.
type head struct {
	Layout json.RawMessage `json:"layout"`
	Scan   ScanSettings    `json:"scan"`
	Extra  json.RawMessage `json:"extra,omitempty"`
}

// Differs returns the flag in which the options of a start differ from those of
// the manifest, or "".
func (m *Manifest) Differs(layout vvfat.Options, scan vvfat.ScanOptions) string {
	if name := vvfat.DiffOptions(m.Layout.Options(), layout); name != "" {
		if name == "SOURCE_DATE_EPOCH" {
			return name
		}
		return "--" + name
	}
	a, b := m.Scan, SettingsOf(scan)
	for _, c := range []struct {
		flag string
		a, b any
	}{
		{"--exclude", fmt.Sprintf("%q", a.Exclude), fmt.Sprintf("%q", b.Exclude)}, {"--symlinks", a.Symlinks, b.Symlinks},
		{"--too-large", a.TooLarge, b.TooLarge}, {"--unreadable", a.Unreadable, b.Unreadable},
	} {
		if c.a != c.b {
			return c.flag
		}
	}
	return ""
}

func (m *Manifest) encode(w io.Writer) error {
	layout, err := m.Layout.EncodeHead()
	if err != nil {
		return err
	}
	p, err := json.Marshal(head{layout, m.Scan, m.Extra})
	if err != nil {
		return err
	}
	out := binary.LittleEndian.AppendUint32([]byte(manifestMagic), uint32(len(p)))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(p, castagnoli))
	if _, err := w.Write(append(out, p...)); err != nil {
		return err
	}
	return m.Layout.Tree().Encode(w)
}

// decodeManifest reads what encode wrote.
func decodeManifest(r io.Reader, tree hostfs.FS) (*Manifest, error) {
	bad := func(field string, value any, reason string) error {
		return &diskerr.FormatError{Format: "fatkit manifest", Structure: "head", Field: field, Offset: -1, Value: value, Reason: reason}
	}
	fixed := make([]byte, len(manifestMagic)+8)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return nil, bad("length", nil, "the file is too short")
	}
	if got := string(fixed[:len(manifestMagic)]); got != manifestMagic {
		return nil, bad("magic", fmt.Sprintf("%q", got), "this is no manifest of fatkit, or one of another version")
	}
	n := binary.LittleEndian.Uint32(fixed[len(manifestMagic):])
	if n > maxHeadBytes {
		return nil, bad("length", n, "no head is so long")
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, bad("length", n, "the file is too short")
	}
	if sum := binary.LittleEndian.Uint32(fixed[len(fixed)-4:]); sum != crc32.Checksum(p, castagnoli) {
		return nil, bad("checksum", fmt.Sprintf("%#x", sum), "the file is damaged")
	}
	var h head
	if err := json.Unmarshal(p, &h); err != nil {
		return nil, bad("JSON", nil, err.Error())
	}
	t, err := vvfat.DecodeTree(r, tree)
	if err != nil {
		return nil, err
	}
	l, err := vvfat.DecodeLayout(h.Layout, t)
	if err != nil {
		return nil, err
	}
	return &Manifest{l, h.Scan, h.Extra}, nil
}

// SaveManifest makes the file name in d a manifest, durably and in one step.
func SaveManifest(d hostfs.Dir, name string, m *Manifest) error { return replace(d, name, m.encode) }

// LoadManifest reads the manifest at path in folder. Contents of the base come
// from tree, which stays the caller's.
func LoadManifest(folder hostfs.FS, path string, tree hostfs.FS) (*Manifest, error) {
	f, st, err := folder.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := decodeManifest(io.NewSectionReader(f, 0, st.Size), tree)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
