package shell

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

var touchCommand = &command{
	name: "touch", usage: "FILE...", brief: "set the time of files to now, and make those that are not there",
	min: 1, max: -1,
	run: func(c *call) error {
		now := time.Now()
		for _, arg := range c.args {
			paths := []item{{path: arg}}
			if isPattern(arg) {
				var err error
				if paths, err = c.expand(arg); err != nil {
					return err
				}
			}
			for _, i := range paths {
				if err := c.touch(i.path, now); err != nil {
					return err
				}
			}
		}
		return nil
	},
}

// touch sets the times of one file, which it makes if need be.
func (c *call) touch(path string, now time.Time) error {
	_, err := c.ns.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return c.ns.Chtimes(path, vfs.Times{Modified: now, Accessed: now})
	}
	f, err := c.ns.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}
