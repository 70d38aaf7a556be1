// Package server is a running `fatkit serve`: sources that are served over
// NBD as disks, the generations of those disks, and a control socket through
// which other processes look at the server and ask for new generations.
//
// # Generations
//
// What one scan of a source produced is a generation of its disk. Within a
// generation nothing changes under a guest. A new one begins
//
//   - when a client attaches, no other is attached, and all before it took
//     their leave in order (RefreshPolicy.OnDisconnect): the client sees the
//     source as it is at that moment;
//   - when somebody asks for it and no client is attached, or with force;
//   - when somebody asked for it while a client was attached, or with
//     RefreshPolicy.OnBootRead: when the guest's firmware reads the first
//     sector of the disk again after a reset, and no other client is attached.
//
// It never begins because a connection broke. Size, serial numbers and
// identifiers stay the same through all generations; a source that no longer
// fits leaves the old generation in place, with a line in the log and in the
// status.
//
// An image has one generation, which lasts as long as the server: what clients
// write is in it, and a request for a new one changes nothing.
//
// # Control
//
// The control socket speaks lines of JSON: a [Request] is answered by a
// [Reply]. It lies, with the default NBD socket, in a folder of its own below
// the user's runtime folder, where [Find] looks for running servers.
package server
