package shell

import (
	"context"
	"io"
	"io/fs"
)

var typeCommand = &command{
	name: "type", aliases: []string{"cat"},
	usage: "FILE...", brief: "print files", max: -1,
	run: func(c *call) error {
		if len(c.args) == 0 {
			return copyBytes(c.ctx, c.out, c.in)
		}
		return c.eachFile(func(name string, f fs.File) error { return copyBytes(c.ctx, c.out, f) })
	},
}

// eachFile opens each file that the operands name.
func (c *call) eachFile(fn func(name string, f fs.File) error) error {
	for _, arg := range c.args {
		items := []item{{path: arg}}
		if isPattern(arg) {
			var err error
			if items, err = c.expand(arg); err != nil {
				return err
			}
		}
		for _, i := range items {
			if i.info != nil && i.info.IsDir() {
				continue
			}
			err := c.withFile(i.path, fn)
			if pe, ok := err.(*fs.PathError); ok { // a file knows its name on the volume alone
				err = &fs.PathError{Op: pe.Op, Path: i.path, Err: pe.Err}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) withFile(name string, fn func(string, fs.File) error) error {
	f, err := c.ns.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(name, &boundFile{f, c.ctx})
}

// boundFile is a file that is read until its context ends.
type boundFile struct {
	fs.File
	ctx context.Context
}

// Read implements io.Reader.
func (f *boundFile) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

// copyBytes copies until the end of in or of ctx.
func copyBytes(ctx context.Context, out io.Writer, in io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, rerr := in.Read(buf)
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}
