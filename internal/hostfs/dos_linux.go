package hostfs

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xattrArgs is struct xattr_args of getxattrat(2).
type xattrArgs struct {
	value       uint64
	size, flags uint32
}

// maxDOSBytes is the longest value of DOSAttribute that is looked at: Samba's are
// shorter.
const maxDOSBytes = 256

// dosReader reads DOSAttribute of many files.
type dosReader struct {
	name  *byte
	value [maxDOSBytes]byte
	old   bool // the kernel is older than 6.13
}

func newDOSReader() *dosReader {
	name, _ := unix.BytePtrFromString(DOSAttribute) // a constant without zero bytes
	return &dosReader{name: name}
}

// read sets the attributes of e, which the directory fd has under a name. What
// cannot be read is not there: a file system may have none, or a file none for
// this process.
func (d *dosReader) read(fd int, name *byte, e *Entry) {
	if !e.Mode.IsRegular() && !e.Mode.IsDir() {
		return
	}
	n, errno := d.at(fd, name)
	if errno == 0 {
		e.DOS, e.HasDOS = ParseDOSAttribute(d.value[:n])
	}
}

// at reads the attribute of a name: in one call, or through a file that is opened
// for it where the kernel has no such call.
func (d *dosReader) at(fd int, name *byte) (int, unix.Errno) {
	if !d.old {
		args := xattrArgs{value: uint64(uintptr(unsafe.Pointer(&d.value))), size: maxDOSBytes}
		n, _, errno := unix.Syscall6(unix.SYS_GETXATTRAT, uintptr(fd), uintptr(unsafe.Pointer(name)), unix.AT_SYMLINK_NOFOLLOW,
			uintptr(unsafe.Pointer(d.name)), uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
		runtime.KeepAlive(d)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return int(n), errno
		}
		d.old = true // or a sandbox does not know it
	}
	file, err := retry(func() (int, error) { return unix.Openat(fd, unix.BytePtrToString(name), openFile|unix.O_NOFOLLOW, 0) })
	if err != nil {
		return 0, unix.ENODATA
	}
	defer unix.Close(file)
	n, err := unix.Fgetxattr(file, DOSAttribute, d.value[:])
	if err != nil {
		return 0, unix.ENODATA
	}
	return n, 0
}
