// Package nbd serves block devices over the network block device protocol
// and uses the devices of other servers.
//
// It implements doc/proto.md and doc/uri.md of NetworkBlockDevice/nbd: fixed
// newstyle negotiation with every option, simple and structured replies and
// extended headers, TLS, metadata contexts, and all commands. Sub-package wire
// holds the codec; this package knows nothing of what a device contains.
//
// # The server
//
// A [Server] holds any number of exports and serves any number of listeners
// and single connections. Exports come and go while it runs.
//
// One goroutine of a connection reads requests. What it can answer without
// waiting it answers itself, many replies in one system call while requests are
// queued; everything else goes to at most maxWorkers goroutines of the
// connection. Replies meet in a queue (type output); whoever adds to it
// sends what the socket takes at once, and a writer goroutine sends the rest. So
// neither the reader nor a worker ever waits for a client that does not read,
// until the memory that the connection may hold is used up.
//
//	socket -> input -> reader -> dispatch -> inline ----> batch --> output -> socket
//	                                     \-> worker (device) ----/
//
// Guarantees: a client sees nothing outside its export; a flush covers every
// write that was answered on any connection before the flush was received; a
// request with FUA is durable when it is answered; memory is bounded for each
// connection and in all; a bad message ends the connection that sent it and no other.
//
// Not done: pre-shared keys for TLS, oldstyle negotiation, resizing.
package nbd
