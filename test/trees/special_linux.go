package trees

import "syscall"

func mknod(path string, mode uint32) error { return syscall.Mknod(path, mode, 0) }
