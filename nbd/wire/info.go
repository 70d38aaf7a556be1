package wire

import "encoding/binary"

// AppendServer appends the data of NBD_REP_SERVER.
func AppendServer(dst []byte, name, description string) []byte {
	return append(appendString(dst, name), description...)
}

// DecodeServer decodes the data of NBD_REP_SERVER.
func DecodeServer(p []byte) (name, description string, err error) {
	name, rest, err := decodeString("NBD_REP_SERVER", "export name", p)
	if err != nil {
		return "", "", err
	}
	if err := CheckString("description", string(rest)); err != nil {
		return "", "", err
	}
	return name, string(rest), nil
}

// ExportInfo is the size and the flags of an export: NBD_INFO_EXPORT, and the
// answer to NBD_OPT_EXPORT_NAME.
type ExportInfo struct {
	Size  uint64 // bytes
	Flags TransmissionFlags
}

// Append appends size and flags, without the type of the information.
func (e ExportInfo) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.Size)
	return binary.BigEndian.AppendUint16(dst, uint16(e.Flags))
}

// AppendInfo appends NBD_INFO_EXPORT.
func (e ExportInfo) AppendInfo(dst []byte) []byte {
	return e.Append(binary.BigEndian.AppendUint16(dst, uint16(InfoExport)))
}

// DecodeExportInfo decodes size and flags.
func DecodeExportInfo(p []byte) (ExportInfo, error) {
	if len(p) != ExportReplyLen {
		return ExportInfo{}, corrupt("NBD_INFO_EXPORT", "length", len(p), "expected 10 bytes after the type")
	}
	e := ExportInfo{binary.BigEndian.Uint64(p), TransmissionFlags(binary.BigEndian.Uint16(p[8:]))}
	if e.Size > 1<<63-1 {
		return ExportInfo{}, corrupt("NBD_INFO_EXPORT", "size", e.Size, "larger than 2^63-1")
	}
	return e, nil
}

// BlockSizes are the block size constraints of an export, in bytes ("Block
// size constraints").
type BlockSizes struct {
	Minimum, Preferred, Maximum uint32
}

// AppendInfo appends NBD_INFO_BLOCK_SIZE.
func (b BlockSizes) AppendInfo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(InfoBlockSize))
	dst = binary.BigEndian.AppendUint32(dst, b.Minimum)
	dst = binary.BigEndian.AppendUint32(dst, b.Preferred)
	return binary.BigEndian.AppendUint32(dst, b.Maximum)
}

// DecodeBlockSizes decodes and checks block size constraints.
func DecodeBlockSizes(p []byte) (BlockSizes, error) {
	be := binary.BigEndian
	if len(p) != 12 {
		return BlockSizes{}, corrupt("NBD_INFO_BLOCK_SIZE", "length", len(p), "expected 12 bytes after the type")
	}
	b := BlockSizes{be.Uint32(p), be.Uint32(p[4:]), be.Uint32(p[8:])}
	switch {
	case b.Minimum == 0 || b.Minimum&(b.Minimum-1) != 0 || b.Minimum > 64<<10:
		return b, corrupt("NBD_INFO_BLOCK_SIZE", "minimum", b.Minimum, "not a power of two up to 65,536")
	case b.Preferred < b.Minimum || b.Preferred&(b.Preferred-1) != 0:
		return b, corrupt("NBD_INFO_BLOCK_SIZE", "preferred", b.Preferred, "not a power of two of at least the minimum")
	case b.Maximum != 1<<32-1 && (b.Maximum == 0 || b.Maximum%b.Minimum != 0):
		return b, corrupt("NBD_INFO_BLOCK_SIZE", "maximum", b.Maximum, "not a multiple of the minimum")
	}
	return b, nil
}

// AppendTextInfo appends NBD_INFO_NAME or NBD_INFO_DESCRIPTION.
func AppendTextInfo(dst []byte, i Info, text string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(i)), text...)
}

// DecodeInfo splits the data of NBD_REP_INFO into its type and the rest.
func DecodeInfo(p []byte) (Info, []byte, error) {
	if len(p) < 2 {
		return 0, nil, corrupt("NBD_REP_INFO", "length", len(p), "shorter than 2 bytes")
	}
	return Info(binary.BigEndian.Uint16(p)), p[2:], nil
}

// AppendMetaContext appends the data of NBD_REP_META_CONTEXT.
func AppendMetaContext(dst []byte, id uint32, name string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, id), name...)
}

// DecodeMetaContext decodes the data of NBD_REP_META_CONTEXT.
func DecodeMetaContext(p []byte) (id uint32, name string, err error) {
	if len(p) < 4 {
		return 0, "", corrupt("NBD_REP_META_CONTEXT", "length", len(p), "shorter than 4 bytes")
	}
	name = string(p[4:])
	return binary.BigEndian.Uint32(p), name, CheckString("context name", name)
}
