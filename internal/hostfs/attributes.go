package hostfs

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// heldBack are extended attributes that a copy never takes over: rights of a
// program, which are not to pass to contents that somebody else wrote.
var heldBack = []string{"security.capability", "security.ima", "security.evm"}

// CopyAttributes gives dst the owner, permission bits and extended attributes
// of src. A copy never sets a user or group ID on execution of a file, and takes no
// capabilities: its contents may come from somebody else. What this process
// may not give away, an owner or an attribute of the system, stays as it is.
func CopyAttributes(dst, src Node) error {
	from, err := src.Identity()
	if err != nil {
		return err
	}
	if err := dst.SetOwner(from.UID, from.GID); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	mode := from.Mode & permBits
	if from.Mode.IsRegular() {
		mode &^= fs.ModeSetuid | fs.ModeSetgid
	}
	if err := dst.SetMode(mode); err != nil {
		return err
	}
	return copyXattrs(dst, src)
}

// copyXattrs copies what can be copied.
func copyXattrs(dst, src Node) error {
	names, err := src.Xattrs()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(heldBack, name) {
			continue
		}
		value, err := src.Xattr(name)
		if err == nil {
			err = dst.SetXattr(name, value)
		}
		system := !strings.HasPrefix(name, "user.")
		gone := errors.Is(err, ErrNoXattr)
		refused := errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
		if err != nil && !gone && !(system && refused) {
			return err
		}
	}
	return nil
}

// Names of the access control lists of Linux, acl(5).
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// InheritAttributes gives dst, which was made elsewhere, what it would have if
// it had been made in the directory parent: the default access control list,
// and the group where parent hands it down. A process that may give files away,
// which is to say that it acts for others, gives dst to parent's owner.
func InheritAttributes(dst, parent Node) error {
	from, err := parent.Identity()
	if err != nil {
		return err
	}
	own, err := dst.Identity()
	if err != nil {
		return err
	}
	if err := inheritOwner(dst, own, from); err != nil {
		return err
	}
	if own.Mode.IsDir() && from.Mode&fs.ModeSetgid != 0 {
		if err := dst.SetMode(own.Mode&permBits | fs.ModeSetgid); err != nil {
			return err
		}
	}
	return inheritACL(dst, parent, own.Mode.IsDir())
}

// inheritOwner sets owner and group as far as this process may.
func inheritOwner(dst Node, own, from Identity) error {
	group := own.GID
	if from.Mode&fs.ModeSetgid != 0 {
		group = from.GID
	}
	err := error(nil)
	if own.UID != from.UID {
		if err = dst.SetOwner(from.UID, from.GID); err == nil || !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if group != own.GID {
		err = dst.SetOwner(own.UID, group)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// inheritACL passes on parent's default list, acl(5), "Object creation and
// default ACLs".
func inheritACL(dst, parent Node, dir bool) error {
	acl, err := parent.Xattr(aclDefault)
	if errors.Is(err, ErrNoXattr) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil {
		err = dst.SetXattr(aclAccess, acl)
	}
	if err == nil && dir {
		err = dst.SetXattr(aclDefault, acl)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
