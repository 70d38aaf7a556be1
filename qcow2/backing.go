package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// ErrBackingRefused says that an image names a backing file which its opener
// does not allow, or for which there is no opener.
var ErrBackingRefused = errors.New("backing file not allowed")

// openBacking opens the backing file, if the image has one and it is wanted.
func (img *Image) openBacking() error {
	name := img.hdr.BackingName
	if name == "" || img.opts.NoBacking {
		return nil
	}
	if img.opts.Depth+1 >= MaxDepth {
		return &diskerr.FormatError{Format: formatName, Structure: "header", Field: "backing file name",
			Offset: int64(img.hdr.BackingOffset), Value: name,
			Reason: fmt.Sprintf("the backing chain has more than %d images", MaxDepth)}
	}
	if img.opts.Backing == nil {
		return fmt.Errorf("qcow2: %q: %w: none was allowed", name, ErrBackingRefused)
	}
	dev, err := img.opts.Backing(BackingRef{Name: name, Format: img.hdr.BackingFormat(), Depth: img.opts.Depth + 1})
	if err != nil {
		return fmt.Errorf("backing file %q: %w", name, err)
	}
	img.backing = dev
	return nil
}

// FileOpener opens backing files that lie beneath a folder, read-only. It is
// for one chain: it remembers what it opened, to refuse a cycle.
type FileOpener struct {
	root   *os.Root
	dir    string        // of the image whose backing file is next, relative to root
	opened []os.FileInfo // every file of the chain so far
}

// NewFileOpener returns an opener for the chain of the image at path, which
// allows files beneath the folder root. An empty root is the image's own
// folder. Symbolic links must not lead out of it. Close it when the chain is
// open.
func NewFileOpener(path, root string) (*FileOpener, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if root == "" {
		root = filepath.Dir(abs)
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Rel(root, filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	return &FileOpener{root: r, dir: dir, opened: []os.FileInfo{info}}, nil
}

// Close gives up the folder. Files that were opened stay open.
func (o *FileOpener) Close() error { return o.root.Close() }

// Open is a [BackingOpener]. A name is resolved from the folder of the image
// that has it. The format is the recorded one, else it follows from the
// suffix: .qcow2 or raw.
func (o *FileOpener) Open(ref BackingRef) (block.Device, error) {
	if strings.HasPrefix(ref.Name, "json:") || strings.Contains(ref.Name, "://") {
		return nil, fmt.Errorf("%w: only plain file names are", ErrBackingRefused)
	}
	rel := ref.Name
	if filepath.IsAbs(rel) {
		var err error
		if rel, err = filepath.Rel(o.root.Name(), rel); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBackingRefused, err)
		}
	} else {
		rel = filepath.Join(o.dir, rel)
	}
	f, err := o.root.Open(rel)
	if err != nil {
		return nil, err
	}
	dev, err := o.open(f, ref, rel)
	if err != nil {
		f.Close()
	}
	return dev, err
}

// open makes a device of f, which stays the caller's after an error.
func (o *FileOpener) open(f *os.File, ref BackingRef, rel string) (block.Device, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(o.opened, func(i os.FileInfo) bool { return os.SameFile(i, info) }) {
		return nil, &diskerr.FormatError{Format: formatName, Structure: "header", Field: "backing file name",
			Offset: -1, Value: ref.Name, Reason: "the backing chain is a cycle"}
	}
	o.opened = append(o.opened, info)
	o.dir = filepath.Dir(rel)
	format := ref.Format
	if format == "" {
		format = formatOf(ref.Name)
	}
	raw, err := file.New(f, file.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	switch format {
	case "raw":
		if ref.Format == "" && hasMagic(raw) {
			return nil, fmt.Errorf("%q: its format is not recorded, its suffix says raw and its magic qcow2; record the format", ref.Name)
		}
		return raw, nil
	case "qcow2":
		return Open(raw, Options{ReadOnly: true, Backing: o.Open, Depth: ref.Depth})
	}
	return nil, &diskerr.FeatureError{Format: formatName, Names: []string{"backing format " + format}}
}

// formatOf returns the format that a file's suffix stands for.
func formatOf(name string) string {
	if strings.EqualFold(filepath.Ext(name), ".qcow2") {
		return "qcow2"
	}
	return "raw"
}

// hasMagic reports whether a device begins like an image.
func hasMagic(dev io.ReaderAt) bool {
	var p [4]byte
	n, _ := dev.ReadAt(p[:], 0)
	return n == 4 && binary.BigEndian.Uint32(p[:]) == qcow2fmt.Magic
}
