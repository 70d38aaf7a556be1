package hostfs

import (
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// wdir is an open directory.
type wdir struct {
	node
	root *Root
	dev  uint64
}

var (
	_ Dir      = (*wdir)(nil)
	_ Writable = (*Root)(nil)
)

// OpenDir implements [Writable].
func (r *Root) OpenDir(path string) (Dir, error) {
	fd, err := r.open("open", path, openDir)
	if err != nil {
		return nil, err
	}
	return r.newDir(fd, r.join(path))
}

func (r *Root) newDir(fd int, name string) (Dir, error) {
	d := &wdir{node: node{fd: fd, name: name, fsid: fsidOf(fd), leaseType: unix.F_RDLCK}, root: r}
	id, err := d.Identity()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	d.dev = id.Dev
	return d, nil
}

// SyncFS implements [Writable].
func (r *Root) SyncFS() error {
	return failed("sync", r.name, again(func() error { return unix.Syncfs(r.fd) }))
}

// Usage implements [Writable].
func (r *Root) Usage() (Usage, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(r.fd, &st) }); err != nil {
		return Usage{}, failed("statfs", r.name, err)
	}
	return Usage{
		FSID:      fsidOf(r.fd),
		FreeBytes: int64(st.Bavail) * int64(st.Bsize),
		Type:      fsType(int64(st.Type)),
		NameBytes: int(st.Namelen),
	}, nil
}

// fsType names the file systems that messages may want to name.
func fsType(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case unix.MSDOS_SUPER_MAGIC:
		return "vfat"
	}
	return "other"
}

// openAt opens one name of the directory.
func (d *wdir) openAt(op, name string, flags int, perm fs.FileMode) (int, error) {
	if err := checkName(op, name); err != nil {
		return -1, err
	}
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := retry(func() (int, error) { return unix.Openat(d.fd, name, flags, rawMode(perm)) })
	if err == unix.EPERM && flags&unix.O_NOATIME != 0 {
		fd, err = retry(func() (int, error) { return unix.Openat(d.fd, name, flags&^unix.O_NOATIME, rawMode(perm)) })
	}
	return fd, failed(op, d.join(name), err)
}

func (d *wdir) join(name string) string { return path.Join(d.name, name) }

// List implements [Dir].
func (d *wdir) List(l *Listing) error {
	// A descriptor of its own has a position of its own.
	fd, err := retry(func() (int, error) { return unix.Openat(d.fd, ".", openDir|unix.O_NOFOLLOW, 0) })
	if err != nil {
		return failed("readdir", d.name, err)
	}
	defer unix.Close(fd)
	l.Reset()
	if err := l.readNames(fd); err != nil {
		return failed("readdir", d.name, err)
	}
	d.root.statAll(fd, l)
	l.dropVanished()
	return nil
}

// Lookup implements [Dir].
func (d *wdir) Lookup(name string) (Identity, error) {
	if err := checkName("stat", name); err != nil {
		return Identity{}, err
	}
	var s statter
	p, err := unix.BytePtrFromString(name)
	if err == nil {
		err = s.name(d.fd, p, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return Identity{}, failed("stat", d.join(name), err)
	}
	id := s.identity(d.fsid)
	if s.mounted(d.dev) {
		id.FSID = 0 // that of another file system, which would cost opening it
	}
	return id, nil
}

// mounted reports whether another file system is mounted on what was described
// last. Device numbers tell that only where the kernel does not: a file of an
// overlay has another than its directory.
func (s *statter) mounted(dirDev uint64) bool {
	if s.stx.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return s.stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	return unix.Mkdev(s.stx.Dev_major, s.stx.Dev_minor) != dirDev
}

// OpenDir implements [Dir].
func (d *wdir) OpenDir(name string) (Dir, error) {
	fd, err := d.openAt("open", name, openDir|unix.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	return d.root.newDir(fd, d.join(name))
}

// OpenNode implements [Dir].
func (d *wdir) OpenNode(name string) (Node, error) {
	fd, err := d.openAt("open", name, openFile|unix.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	n := &node{fd: fd, name: d.join(name), fsid: d.fsid, leaseType: unix.F_RDLCK}
	if err := n.checkType(true); err != nil {
		return nil, err
	}
	return n, nil
}

// checkType closes n and fails unless it is a regular file, or a directory
// where that will do.
func (n *node) checkType(dirToo bool) error {
	id, err := n.Identity()
	if err == nil && !id.Mode.IsRegular() && !(dirToo && id.Mode.IsDir()) {
		err = failed("open", n.name, ErrNotRegular)
	}
	if err != nil {
		n.Close()
	}
	return err
}

// Open implements [Dir].
func (d *wdir) Open(name string) (File, error) {
	fd, err := d.openAt("open", name, openFile|unix.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	f := &file{fd: fd, name: d.join(name)}
	st, err := f.Stat()
	if err == nil && !st.Mode.IsRegular() {
		err = failed("open", f.name, ErrNotRegular)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return f, nil
}

// OpenFile implements [Dir].
func (d *wdir) OpenFile(name string) (WFile, error) {
	fd, err := d.openAt("open", name, openFile&^unix.O_RDONLY|unix.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	f := d.newFile(fd, name)
	if err := f.checkType(false); err != nil {
		return nil, err
	}
	return f, nil
}

// Create implements [Dir].
func (d *wdir) Create(name string, perm fs.FileMode) (WFile, error) {
	fd, err := d.openAt("create", name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return d.newFile(fd, name), nil
}

// Mkdir implements [Dir].
func (d *wdir) Mkdir(name string, perm fs.FileMode) error {
	if err := checkName("mkdir", name); err != nil {
		return err
	}
	return failed("mkdir", d.join(name), again(func() error { return unix.Mkdirat(d.fd, name, rawMode(perm)) }))
}

// Rmdir implements [Dir].
func (d *wdir) Rmdir(name string) error { return d.unlink("rmdir", name, unix.AT_REMOVEDIR) }

// Unlink implements [Dir].
func (d *wdir) Unlink(name string) error { return d.unlink("unlink", name, 0) }

func (d *wdir) unlink(op, name string, flags int) error {
	if err := checkName(op, name); err != nil {
		return err
	}
	err := again(func() error { return unix.Unlinkat(d.fd, name, flags) })
	if err == unix.EEXIST { // what some file systems say instead of ENOTEMPTY
		err = unix.ENOTEMPTY
	}
	return failed(op, d.join(name), err)
}

// Rename implements [Dir].
func (d *wdir) Rename(name string, to Dir, newName string, mode RenameMode) error {
	dst, err := d.pair("rename", name, to, newName)
	if err != nil {
		return err
	}
	flags := map[RenameMode]uint{NoReplace: unix.RENAME_NOREPLACE, Exchange: unix.RENAME_EXCHANGE, Replace: 0}[mode]
	err = again(func() error { return unix.Renameat2(d.fd, name, dst.fd, newName, flags) })
	if err == unix.EINVAL || err == unix.ENOSYS {
		// Also what a move of a directory below itself is, which no caller
		// needs to tell apart: neither will ever work.
		err = unix.EOPNOTSUPP
	}
	return failed("rename", d.join(name)+" to "+dst.join(newName), err)
}

// Link implements [Dir].
func (d *wdir) Link(name string, to Dir, newName string) error {
	dst, err := d.pair("link", name, to, newName)
	if err != nil {
		return err
	}
	err = again(func() error { return unix.Linkat(d.fd, name, dst.fd, newName, 0) })
	return failed("link", d.join(name)+" to "+dst.join(newName), err)
}

// pair checks the arguments of a call that names two directories.
func (d *wdir) pair(op, name string, to Dir, newName string) (*wdir, error) {
	if err := checkName(op, name); err != nil {
		return nil, err
	}
	if err := checkName(op, newName); err != nil {
		return nil, err
	}
	dst, ok := to.(*wdir)
	if !ok {
		return nil, failed(op, d.join(name), ErrCrossDevice)
	}
	return dst, nil
}
