package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"

	"github.com/fatkit/fatkit/vfs"
)

// Rename implements vfs.FS. It is [View.Move] without an end and without a
// report.
func (v *View) Rename(oldName, newName string) error {
	return v.Move(context.Background(), oldName, newName, nil)
}

// Move gives a file or directory another name. Within a volume that is the
// volume's own Rename. From one to another it copies to a temporary name beside the
// new one, which then replaces it, and deletes the old; of the copy it reports
// progress, unless that is nil, and ctx ends it, after which all is as before.
func (v *View) Move(ctx context.Context, oldName, newName string, progress func(vfs.Tally)) error {
	from, err := v.locate(oldName)
	if err != nil {
		return pathError("rename", oldName, err)
	}
	to, err := v.locate(newName)
	if err != nil {
		return pathError("rename", newName, err)
	}
	switch {
	case from.mnt == nil:
		return pathError("rename", oldName, v.n.noVolume(from))
	case to.mnt == nil:
		return pathError("rename", newName, v.n.noVolume(to))
	case from.name == ".":
		return pathError("rename", oldName, fs.ErrInvalid)
	case to.name == ".":
		return pathError("rename", newName, fs.ErrInvalid)
	case from.mnt.vol == to.mnt.vol:
		return pathError("rename", oldName, from.mnt.vol.Rename(from.Name(), to.Name()))
	}
	return pathError("rename", oldName, moveAcross(ctx, from, to, progress))
}

// moves numbers the temporary names of moves.
var moves atomic.Uint32

// moveAcross moves from one volume to another.
func moveAcross(ctx context.Context, from, to Location, progress func(vfs.Tally)) error {
	src, dst := from.mnt.vol, to.mnt.vol
	if src.readOnly { // better said before the copy
		return src.change("remove", from.Name(), nil)
	}
	if !dst.exists(to.Name()) {
		if err := dst.create("rename", to.Name(), func() error { return nil }); err != nil {
			return err
		}
	}
	fi, err := src.Lstat(from.Name())
	if err != nil {
		return err
	}
	if old, err := dst.Stat(to.Name()); err == nil && old.IsDir() != fi.IsDir() {
		return fs.ErrExist // what Rename would say in the end
	}
	temp := path.Join(path.Dir(to.Name()), fmt.Sprintf("~move%d.tmp", moves.Add(1)))
	o := vfs.CopyOptions{Preserve: true, Links: vfs.KeepLinks, NoReplace: true, Progress: progress}
	_, err = copyAcross(ctx, dst, temp, src, from.Name(), o)
	if err == nil {
		err = dst.Rename(temp, to.Name())
	}
	if err != nil {
		return errors.Join(err, dst.RemoveAll(temp))
	}
	return src.RemoveAll(from.Name())
}

// Copy copies a file or a tree to the name to, which is the copy's own name. It
// is vfs.Copy, with its options and its result. A forced unmount of either
// volume ends it.
func (v *View) Copy(ctx context.Context, to, from string, o vfs.CopyOptions) (vfs.Tally, error) {
	source, err := v.locate(from)
	if err == nil && source.mnt == nil {
		err = v.n.noVolume(source)
	}
	if err != nil {
		return vfs.Tally{}, pathError("copy", from, err)
	}
	target, err := v.locate(to)
	if err == nil && target.mnt == nil {
		err = v.n.noVolume(target)
	}
	if err != nil {
		return vfs.Tally{}, pathError("copy", to, err)
	}
	done, err := copyAcross(ctx, target.mnt.vol, target.Name(), source.mnt.vol, source.Name(), o)
	if err != nil && ctx.Err() == nil {
		err = &fs.PathError{Op: "copy", Path: from, Err: fmt.Errorf("to %s: %w", to, err)}
	}
	return done, err
}

// copyAcross copies with both volumes held. The source's files are opened past
// the volume, because a host's own files copy faster if they are seen as such.
func copyAcross(ctx context.Context, dst *Volume, to string, src *Volume, from string, o vfs.CopyOptions) (vfs.Tally, error) {
	for _, v := range []*Volume{src, dst} {
		if err := v.beginCopy(); err != nil {
			return vfs.Tally{}, err
		}
		defer v.endCopy()
	}
	if dst == src {
		if err := apart(src, from, to); err != nil {
			return vfs.Tally{}, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, v := range []*Volume{src, dst} {
		defer context.AfterFunc(v.ctx, cancel)()
	}
	done, err := vfs.Copy(ctx, dst, to, src.fsys, from, o)
	if err != nil && (src.ctx.Err() != nil || dst.ctx.Err() != nil) {
		err = fs.ErrClosed
	}
	return done, err
}

// Copies that would destroy their source, or never end.
var (
	errOntoItself = errors.New("cannot be copied onto itself")
	errIntoItself = errors.New("a directory cannot be copied into itself")
)

// apart refuses a copy within a volume onto or into its own source.
func apart(v *Volume, from, to string) error {
	a, b := canonical(v, from), canonical(v, to)
	switch {
	case a == b:
		return errOntoItself
	case a == "." || strings.HasPrefix(b, a+"/"):
		if fi, err := v.Stat(from); err == nil && fi.IsDir() {
			return errIntoItself
		}
	}
	return nil
}

// canonical returns name as the volume itself spells it, as far as it exists:
// volumes can ignore case, and know files by two names.
func canonical(v *Volume, name string) string {
	if name == "." {
		return name
	}
	out, at := "", ""
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		if fi, err := v.Lstat(at); err == nil {
			part = fi.Name()
		}
		out = path.Join(out, part)
	}
	return out
}
