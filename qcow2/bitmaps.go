package qcow2

import (
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// bitmap is an entry of the bitmap directory and its offset in the file.
type bitmap struct {
	*qcow2fmt.Bitmap
	off int64
}

// readBitmaps reads the bitmap directory. It returns nothing unless the header
// says that the bitmaps are consistent.
func readBitmaps(file *container, hdr *qcow2fmt.Header) ([]bitmap, error) {
	if hdr.Autoclear&qcow2fmt.AutoclearBitmaps == 0 {
		return nil, nil
	}
	ext, err := hdr.Bitmaps()
	if err != nil {
		return nil, err
	}
	var list []bitmap
	off, left := int64(ext.DirectoryOffset), int64(ext.DirectoryBytes)
	if err := file.readTable(nil, off+left, "bitmap directory"); err != nil {
		return nil, err
	}
	p := make([]byte, left)
	if err := file.readTable(p, off, "bitmap directory"); err != nil {
		return nil, err
	}
	for range ext.Bitmaps {
		b, n, err := hdr.Geometry().DecodeBitmap(p, off)
		if err != nil {
			return nil, err
		}
		list = append(list, bitmap{b, off})
		p, off = p[n:], off+int64(n)
	}
	return list, nil
}
