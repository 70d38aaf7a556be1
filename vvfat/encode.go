package vvfat

import (
	"bufio"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
)

// A tree in bytes. Numbers are varints of encoding/binary, the signed ones
// zigzag; u is unsigned.
//
//	"fatkit tree 1\n"
//	u file systems | u each, as the host numbered them
//	u nodes
//	per node, in the order of the tree:
//	    u flags | u file system | u inode | mtime | atime | btime
//	    u size: bytes of a file, number of children of a directory
//	    u length | name               not for the root
//	    u length | target             only with flagLink
//	CRC-32C of all that, 4 bytes, little-endian
//
// Nodes are numbered breadth first, so the numbers of children say who the
// parents are.
const treeMagic = "fatkit tree 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// treeWriter writes the fields of a tree.
type treeWriter struct {
	w   *bufio.Writer
	sum hash.Hash32
	buf []byte
}

// Encode writes the tree, without contents, in a form that [DecodeTree] reads.
func (t *Tree) Encode(out io.Writer) error {
	w := treeWriter{sum: crc32.New(castagnoli)}
	w.w = bufio.NewWriterSize(io.MultiWriter(out, w.sum), 1<<16)
	w.buf = append(w.buf, treeMagic...)
	w.unsigned(uint64(len(t.devs)))
	for _, dev := range t.devs {
		w.unsigned(dev)
	}
	w.unsigned(uint64(t.count))
	for id := RootID; int(id) < t.count; id++ {
		w.node(t, id)
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	_, err := out.Write(binary.LittleEndian.AppendUint32(nil, w.sum.Sum32()))
	return err
}

func (w *treeWriter) unsigned(n uint64) { w.buf = binary.AppendUvarint(w.buf, n) }
func (w *treeWriter) signed(n int64)    { w.buf = binary.AppendVarint(w.buf, n) }

func (w *treeWriter) text(s string) {
	w.unsigned(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *treeWriter) node(t *Tree, id NodeID) {
	n := t.node(id)
	w.unsigned(uint64(n.flags))
	w.unsigned(uint64(n.dev))
	w.unsigned(n.ino)
	w.signed(n.mtime)
	w.signed(n.atime)
	w.signed(n.btime)
	w.unsigned(uint64(n.size))
	if id != RootID {
		w.text(t.hostName(id))
	}
	if n.flags&flagLink != 0 {
		w.text(t.links[id])
	}
}

// flush hands what was collected to the buffer.
func (w *treeWriter) flush() error {
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}
