package stack

import (
	"path/filepath"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/qcow2"
)

// Level is an image of a backing chain. Dev belongs to the level above.
type Level struct {
	Name   string // as the program can open it
	Format string
	Dev    block.Device
}

// Levels returns the levels of the backing chain of the disk dev of the image
// name, itself first, as far as they are open.
func Levels(name string, dev block.Device) []Level {
	list := []Level{{name, FormatRaw, dev}}
	for {
		last := &list[len(list)-1]
		img, ok := last.Dev.(*qcow2.Image)
		if !ok {
			return list
		}
		last.Format = FormatQcow2
		if img.Backing() == nil {
			return list
		}
		backing, _ := img.BackingName()
		list = append(list, Level{BackingPath(last.Name, backing), FormatRaw, img.Backing()})
	}
}

// BackingPath returns where the backing file is that the image name records as
// backing. A relative name is meant from the folder of the image.
func BackingPath(name, backing string) string {
	if backing == "" || IsURI(backing) || strings.HasPrefix(backing, "json:") || filepath.IsAbs(backing) || IsURI(name) {
		return backing
	}
	dir, _ := filepath.Split(name)
	return dir + backing
}
