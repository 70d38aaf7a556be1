// Package mount judges mounts through the kernel: by system calls, by real
// programs such as git and sqlite, and by what is on the disk afterwards. There
// is nothing in it but tests, for Linux.
package mount
