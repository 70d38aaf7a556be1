// Package wire encodes and decodes the messages of the NBD protocol.
//
// It implements doc/proto.md of NetworkBlockDevice/nbd ("the specification"
// below; sections are cited by their headings): fixed newstyle negotiation,
// simple and structured replies and extended headers. All numbers are big-endian.
//
// The handshake:
//
//	S: "NBDMAGIC" | "IHAVEOPT" | handshake flags 16
//	C: client flags 32
//	C: "IHAVEOPT" | option 32 | length 32 | data          (repeated)
//	S: 0003e889045565a9 | option 32 | reply 32 | length 32 | data
//
// Transmission, compact:
//
//	C: 25609513 | flags 16 | command 16 | cookie 64 | offset 64 | length 32 | payload of a write
//	S: 67446698 | error 32 | cookie 64 | data of a read                          (simple reply)
//	S: 668e33ef | flags 16 | type 16 | cookie 64 | length 32 | payload           (structured chunk)
//
// Transmission with extended headers:
//
//	C: 21e41c71 | flags 16 | command 16 | cookie 64 | offset 64 | length 64 | payload
//	S: 6e8a278c | flags 16 | type 16 | cookie 64 | offset 64 | length 64 | payload
//
// The package does no I/O. Encoders append to a slice and cannot fail; decoders
// read a complete message, check every field that the message alone can
// decide, and return a *diskerr.FormatError that names the field otherwise. What
// depends on the state of a session (was a flag negotiated, does a range lie
// within the export) is for the server and the client to decide. Decoded
// strings and lists are copies.
package wire

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// corrupt returns the error of a field that breaks the protocol.
func corrupt(structure, field string, value any, reason string) error {
	return &diskerr.FormatError{
		Format: "NBD", Structure: structure, Field: field,
		Offset: -1, Value: value, Reason: reason,
	}
}

// hex is a number that prints in the specification's form.
type hex uint64

func (h hex) String() string { return fmt.Sprintf("%#x", uint64(h)) }
