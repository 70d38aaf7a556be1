package drivers

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/fatkit/fatkit/block"
)

// maxTarget is the length of the longest target of a symbolic link, in bytes.
const maxTarget = 4096

// openZip indexes a zip archive.
func openZip(dev block.Device) (fs.FS, error) {
	data := io.NewSectionReader(dev, 0, dev.Size())
	r, err := zip.NewReader(data, dev.Size())
	if err != nil && r == nil {
		return nil, fmt.Errorf("zip archive: %w", err)
	}
	b := newBuilder()
	for _, f := range r.File {
		m, err := zipMemberOf(data, f)
		if err == nil {
			// Some Windows programs write backslashes.
			err = b.add(strings.ReplaceAll(f.Name, `\`, "/"), m)
		}
		if err != nil {
			return nil, fmt.Errorf("zip archive: %s: %w", f.Name, err)
		}
	}
	return &archive{b.root}, nil
}

// zipMemberOf describes a file of the archive.
func zipMemberOf(data io.ReaderAt, f *zip.File) (*member, error) {
	m := &member{mode: f.Mode(), size: int64(f.UncompressedSize64), modified: f.Modified}
	switch {
	case m.size < 0:
		return nil, fmt.Errorf("its size is %d", f.UncompressedSize64)
	case m.IsDir():
		m.size, m.children = 0, map[string]*member{}
	case m.mode&fs.ModeSymlink != 0:
		target, err := readTarget(f)
		if err != nil {
			return nil, err
		}
		m.target = target
	case !m.mode.IsRegular():
	case f.Method == zip.Store && f.Flags&1 == 0 && f.CompressedSize64 == f.UncompressedSize64:
		m.open = func() (io.ReadCloser, error) {
			at, err := f.DataOffset()
			return sectionReader{io.NewSectionReader(data, at, m.size)}, err
		}
	default:
		m.open = f.Open
	}
	return m, nil
}

// readTarget returns where a symbolic link leads, which is its content.
func readTarget(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	p, err := io.ReadAll(io.LimitReader(r, maxTarget+1))
	if err == nil && len(p) > maxTarget {
		err = fmt.Errorf("a symbolic link of more than %d bytes", maxTarget)
	}
	return string(p), err
}
