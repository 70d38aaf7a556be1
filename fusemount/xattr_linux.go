package fusemount

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/vfs"
)

const (
	// attrName is the extended attribute that holds the DOS attributes of a file,
	// as Samba and Wine know it: the text of a number, such as 0x22.
	attrName = "user.DOSATTRIB"
	// ownerName is that of the root which holds the number of this process, so
	// that one who unmounts can wait for its end. It is not listed.
	ownerName = "user.fatkit.pid"
)

// settable are the attributes that can be set.
const settable = vfs.AttrReadOnly | vfs.AttrHidden | vfs.AttrSystem | vfs.AttrArchive

// attributes returns the DOS attributes of an object, if the tree has them.
func (t *tree) attributes(id uint64) (vfs.Attr, fuse.Status) {
	t.names.RLock()
	defer t.names.RUnlock()
	x, ok := t.fsys.(vfs.AttrFS)
	if !ok || t.o.KeepModes {
		return 0, fuse.ENODATA
	}
	_, name, status := t.at(id)
	if status != fuse.OK {
		return 0, fuse.ENODATA
	}
	a, err := x.Attr(name)
	return a, errnoOf(err)
}

// give writes the value of an extended attribute.
func give(value string, dest []byte) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// GetXAttr implements fuse.RawFileSystem.
func (t *tree) GetXAttr(_ <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	switch {
	case name == ownerName && header.NodeId == fuse.FUSE_ROOT_ID:
		return give(strconv.Itoa(os.Getpid()), dest)
	case name != attrName:
		return 0, fuse.ENODATA
	}
	a, status := t.attributes(header.NodeId)
	if status != fuse.OK {
		return 0, status
	}
	return give("0x"+strconv.FormatUint(uint64(a), 16), dest)
}

// ListXAttr implements fuse.RawFileSystem. Attributes are listed where they say
// more than the permission bits do, so that copies of them are rare.
func (t *tree) ListXAttr(_ <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	a, status := t.attributes(header.NodeId)
	if status != fuse.OK || a&(vfs.AttrHidden|vfs.AttrSystem) == 0 {
		return 0, fuse.OK
	}
	return give(attrName+"\x00", dest)
}

// SetXAttr implements fuse.RawFileSystem.
func (t *tree) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	if name != attrName {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	text := strings.TrimRight(string(data), "\x00\n ")
	v, err := strconv.ParseUint(text, 0, 8)
	if err != nil || vfs.Attr(v)&^(settable|attrDirectory) != 0 {
		return fuse.EINVAL
	}
	return t.setAttributes(in.NodeId, vfs.Attr(v)&settable, settable)
}

// attrDirectory is the bit that says what cannot be changed; it is let pass. FAT
// 1.03, "Directory Structure", DIR_Attr.
const attrDirectory vfs.Attr = 0x10

// RemoveXAttr implements fuse.RawFileSystem: what is hidden or of the system is
// so no more.
func (t *tree) RemoveXAttr(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	if name != attrName {
		return fuse.ENODATA
	}
	return t.setAttributes(header.NodeId, 0, vfs.AttrHidden|vfs.AttrSystem)
}

// setAttributes sets those DOS attributes among mask that are in set, and clears
// the others. The kernel learns that the permission bits may be others.
func (t *tree) setAttributes(id uint64, set, mask vfs.Attr) fuse.Status {
	t.names.RLock()
	defer t.names.RUnlock()
	x, ok := t.fsys.(vfs.AttrFS)
	if !ok || t.o.KeepModes {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	_, name, status := t.at(id)
	if status != fuse.OK {
		return status
	}
	defer t.changes.Add(1)
	if err := x.SetAttr(name, set, mask&^set); err != nil {
		return errnoOf(err)
	}
	t.server.InodeNotify(id, -1, 0) // attributes alone; a kernel that cannot will ask in time
	return fuse.OK
}
