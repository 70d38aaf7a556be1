package wire

// Magic numbers (specification, "Protocol phases" and "Transmission").
const (
	MagicNBD             uint64 = 0x4e42444d41474943 // "NBDMAGIC"
	MagicOption          uint64 = 0x49484156454f5054 // "IHAVEOPT"
	MagicOptionReply     uint64 = 0x0003e889045565a9
	MagicRequest         uint32 = 0x25609513
	MagicSimpleReply     uint32 = 0x67446698
	MagicStructured      uint32 = 0x668e33ef
	MagicExtendedRequest uint32 = 0x21e41c71
	MagicExtendedReply   uint32 = 0x6e8a278c
)

// Handshake flags of the server and, with the same values, of the client
// ("Handshake flags", "Client flags").
const (
	FlagFixedNewstyle = 1 << 0
	FlagNoZeroes      = 1 << 1
)

// TransmissionFlags say what an export can do ("Transmission flags").
type TransmissionFlags uint16

// The transmission flags.
const (
	HasFlags TransmissionFlags = 1 << iota
	ReadOnly
	SendFlush
	SendFUA
	Rotational
	SendTrim
	SendWriteZeroes
	SendDF
	CanMultiConn
	SendResize
	SendCache
	SendFastZero
	BlockStatusPayload
)

// Option is the type of an option ("Option types").
type Option uint32

// The options.
const (
	OptExportName      Option = 1
	OptAbort           Option = 2
	OptList            Option = 3
	OptStartTLS        Option = 5
	OptInfo            Option = 6
	OptGo              Option = 7
	OptStructuredReply Option = 8
	OptListMetaContext Option = 9
	OptSetMetaContext  Option = 10
	OptExtendedHeaders Option = 11
)

// OptionReply is the type of a reply to an option ("Option reply types").
type OptionReply uint32

// The replies to options. Those with bit 31 are errors.
const (
	RepAck         OptionReply = 1
	RepServer      OptionReply = 2
	RepInfo        OptionReply = 3
	RepMetaContext OptionReply = 4

	repError            OptionReply = 1 << 31
	RepErrUnsupported               = repError | 1
	RepErrPolicy                    = repError | 2
	RepErrInvalid                   = repError | 3
	RepErrPlatform                  = repError | 4
	RepErrTLSRequired               = repError | 5
	RepErrUnknown                   = repError | 6
	RepErrShutdown                  = repError | 7
	RepErrBlockSizeReqd             = repError | 8
	RepErrTooBig                    = repError | 9
	RepErrExtHeaderReqd             = repError | 10
)

// IsError reports whether the reply refuses the option.
func (r OptionReply) IsError() bool { return r&repError != 0 }

// Info is the type of an item of information about an export ("NBD_REP_INFO").
type Info uint16

// The items of information.
const (
	InfoExport      Info = 0
	InfoName        Info = 1
	InfoDescription Info = 2
	InfoBlockSize   Info = 3
)

// Command is the type of a request ("Request types").
type Command uint16

// The commands.
const (
	CmdRead Command = iota
	CmdWrite
	CmdDisconnect
	CmdFlush
	CmdTrim
	CmdCache
	CmdWriteZeroes
	CmdBlockStatus
	numCommands
)

// NumCommands is the number of commands; they count from 0.
const NumCommands = int(numCommands)

// CommandFlags tune a request ("Command flags").
type CommandFlags uint16

// The command flags.
const (
	FlagFUA CommandFlags = 1 << iota
	FlagNoHole
	FlagDF
	FlagReqOne
	FlagFastZero
	FlagPayloadLen
)

// ReplyDone marks the last chunk of a reply ("Structured reply flags").
const ReplyDone uint16 = 1

// ChunkType is the type of a chunk of a reply ("Structured reply types").
type ChunkType uint16

// The chunk types. Those with bit 15 are errors.
const (
	ChunkNone           ChunkType = 0
	ChunkOffsetData     ChunkType = 1
	ChunkOffsetHole     ChunkType = 2
	ChunkBlockStatus    ChunkType = 5
	ChunkBlockStatusExt ChunkType = 6
	ChunkError          ChunkType = 1<<15 + 1
	ChunkErrorOffset    ChunkType = 1<<15 + 2
)

// IsError reports whether the chunk reports an error.
func (t ChunkType) IsError() bool { return t&(1<<15) != 0 }

// Limits of the protocol.
const (
	MaxString       = 4096     // bytes of a name or a message ("Conventions")
	MaxPayload      = 64 << 20 // bytes of a read or a write that this package accepts
	PortablePayload = 32 << 20 // bytes that every server should accept ("Block size constraints")
	MaxDescriptors  = 1 << 20  // descriptors of one block status chunk ("NBD_CMD_BLOCK_STATUS")
)

// Contexts that are defined by the specification and by QEMU's
// docs/interop/nbd.rst.
const (
	ContextAllocation = "base:allocation"
	ContextDepth      = "qemu:allocation-depth"
)

// Mode is the format of requests and replies that a session has negotiated.
type Mode uint8

// The modes, from the oldest to the newest.
const (
	Simple     Mode = iota // compact requests, simple replies
	Structured             // compact requests, simple and structured replies
	Extended               // extended requests and replies
)
