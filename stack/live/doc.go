// Package live makes a directory of the host a source that takes writes: what
// clients write to its disk is carried into the directory (package writeback).
//
// # Generations
//
// The first look at a directory begins a generation, whose manifest and overlay
// lie in a state folder (package statedir). A start of a server resumes the
// generation that it finds there, unless that one is settled: everything has arrived
// and the guest has marked the volume clean. Then, and when a client attaches
// after all others have left in order and the same holds, a new one begins. Nothing
// else begins one, but a request to archive what has not arrived.
//
// # Clients
//
// After a reboot of the host, writes that were answered and not flushed may be
// missing. Clients on the host have died with it; those on other hosts have not,
// and are refused until somebody says that they may go on.
package live
