// Package hosttwin simulates a host: its trees are in memory, and the power can
// be cut at any operation.
//
// A [Machine] is one file system. Its directories are opened as hostfs.Writable,
// so whatever changes a host through that interface runs on it unchanged:
//
//	m := hosttwin.New()
//	m.Host(func(w hostfs.Writable) { … })  // what is there before, durable
//	m.CutAt(k)                            // or FailAt, or Before
//	err := work(m.Root("."))              // fails with ErrCut after k operations
//	m = m.Reboot(seed)                    // what may be left
//	err = recover(m.Root("."))
//
// # Model
//
// Changes of structure (names, directories, attributes) are ordered: after a cut
// a prefix of them is there, at least up to the last sync of a directory or of the file
// system. Contents are not ordered: each sector of 512 bytes that was written
// since the last sync of its file holds what was synced or what one of the later
// writes put there, and the size is that of the last sync or after one of the later
// changes. A sync of a file makes its contents and attributes durable and does
// not make its name durable. A sync under way at the cut promises nothing.
//
// [Machine.Kill] is the other end: the system survives and only the program dies, so
// everything is there.
//
// # Programs of the host
//
// [Machine.Before] calls a function before every operation that is counted, in
// which a test changes the tree as another program would, through
// [Machine.Foreign], whose operations are not counted, never fail by design, and are not
// cut.
//
// Inode numbers are given out anew once their inode is gone, unless
// [Machine.FreshInodes] is set; birth times tell the inodes apart. A reboot changes the device
// number and keeps that of the file system.
//
// The twin knows no permissions beyond remembering them, no mount points, and no
// symbolic links but as entries.
package hosttwin
