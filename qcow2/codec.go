package qcow2

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// deflateWindowBytes is how far back deflate streams of qcow2 may refer. The
// specification does not say it; QEMU inflates with a window of 4 KiB.
const deflateWindowBytes = 4096

// maxZstdFrames bounds the frames of one cluster.
const maxZstdFrames = 1 << 12

// errTooShort says that compressed data gives less than a cluster.
var errTooShort = errors.New("the data ends before the cluster is full")

// decompress fills dst, a cluster, from src. What follows the data in src is
// ignored ("decompression stops when it has produced a cluster of data").
func decompress(dst, src []byte, typ qcow2fmt.Compression) error {
	if typ == qcow2fmt.CompressionZstd {
		return decompressZstd(dst, src)
	}
	return inflate(dst, src)
}

// unzstd decodes whole frames. It is safe for concurrent use and never gives
// more than the capacity it was handed.
var unzstd = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(1<<27))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// decompressZstd decodes one frame after another until dst is full.
func decompressZstd(dst, src []byte) error {
	out := dst[:0:len(dst)]
	for range maxZstdFrames {
		n, err := zstdFrameBytes(src)
		if err != nil {
			return err
		}
		if out, err = unzstd().DecodeAll(src[:n], out); err != nil {
			return err
		}
		if src = src[n:]; len(out) == len(dst) {
			return nil
		}
	}
	return errTooShort
}

// zstdFrameBytes returns the size of the frame at the start of p (RFC 8878,
// sections 3.1.1 and 3.1.2). Nothing marks where the last frame of a cluster
// ends, so the blocks must be walked.
func zstdFrameBytes(p []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(p); err != nil {
		return 0, fmt.Errorf("zstd frame: %w", err)
	}
	at := h.HeaderSize
	if h.Skippable {
		at += int(min(uint64(h.SkippableSize), uint64(len(p))))
		return at, checkFrameEnd(at, p)
	}
	for last := false; !last; {
		if at+3 > len(p) {
			return 0, errTooShort
		}
		block := int(p[at]) | int(p[at+1])<<8 | int(p[at+2])<<16
		last = block&1 != 0
		if at += 3; block>>1&3 == 1 { // RLE: one byte, repeated
			at++
		} else {
			at += block >> 3
		}
	}
	if h.HasCheckSum {
		at += 4
	}
	return at, checkFrameEnd(at, p)
}

func checkFrameEnd(at int, p []byte) error {
	if at > len(p) {
		return errTooShort
	}
	return nil
}
