package drivers

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// openTar indexes a tar archive, which means to read all its headers.
func openTar(ctx context.Context, dev block.Device) (fs.FS, error) {
	data := io.NewSectionReader(dev, 0, dev.Size())
	at := io.NewSectionReader(dev, 0, dev.Size())
	r := tar.NewReader(at)
	b := newBuilder()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := r.Next()
		if err == io.EOF {
			return &archive{b.root}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("tar archive: %w", err)
		}
		start, err := at.Seek(0, io.SeekCurrent) // the reader takes whole blocks
		if err == nil {
			err = b.addTar(h, data, start)
		}
		if err != nil {
			return nil, fmt.Errorf("tar archive: %s: %w", h.Name, err)
		}
	}
}

// addTar adds the member of a header whose content begins at start.
func (b *builder) addTar(h *tar.Header, data io.ReaderAt, start int64) error {
	m := &member{mode: h.FileInfo().Mode(), size: h.Size, modified: h.ModTime, target: h.Linkname}
	switch h.Typeflag {
	case tar.TypeDir:
		m.size, m.children = 0, map[string]*member{}
	case tar.TypeLink:
		old, err := (&archive{b.root}).find("link", strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"), false)
		if err != nil || old.IsDir() {
			return fmt.Errorf("a hard link to %s, which is no file before it", h.Linkname)
		}
		other := *old
		m = &other
	case tar.TypeReg, tar.TypeGNUSparse:
		if isSparse(h) {
			m.open = func() (io.ReadCloser, error) {
				return nil, &diskerr.FeatureError{Format: "tar", Names: []string{"sparse file"}}
			}
			break
		}
		m.open = func() (io.ReadCloser, error) {
			return sectionReader{io.NewSectionReader(data, start, h.Size)}, nil
		}
	}
	return b.add(h.Name, m)
}

// isSparse reports whether the content of a file is stored in pieces, in any of
// GNU's ways (GNU tar manual, "Storing Sparse Files").
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
