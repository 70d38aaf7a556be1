package qcow2fmt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
)

// validHeader returns a header of version 3 that passes every check.
func validHeader() *Header {
	return &Header{
		Version: 3, ClusterBits: 16, Size: 1 << 30, L1Entries: 2, L1Offset: 3 << 16,
		RefcountTableOffset: 1 << 16, RefcountTableClusters: 1,
		Snapshots: 1, SnapshotsOffset: 5 << 16,
		Incompatible: IncompatCompression, Compatible: CompatLazyRefcounts, Autoclear: 1 << 40,
		RefcountOrder: 4, HeaderBytes: 120, Compression: CompressionZstd,
		Extra: append(make([]byte, 7), 9, 8, 7, 6, 5, 4, 3, 2),
		Extensions: []Extension{
			{ExtBackingFormat, []byte("raw")},
			{0x12345678, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
			{ExtFeatureNames, AppendFeatureNames(nil, []FeatureName{{Incompatible, 63, "time travel"}})},
		},
		BackingName: "base.img",
	}
}

// dirty returns n bytes that are not zero, so that a field that an encoder
// forgets shows.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }

func decode(p []byte) (*Header, error) {
	h, err := DecodeHeader(p)
	if err != nil {
		return nil, err
	}
	return h, h.DecodeArea(p)
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, version := range []uint32{2, 3} {
		h := validHeader()
		if version == 2 {
			h.Version, h.HeaderBytes = 2, HeaderBytesV2
			h.Incompatible, h.Compatible, h.Autoclear, h.Compression, h.Extra = 0, 0, 0, 0, nil
		}
		area, err := h.AppendArea(dirty(3)[:0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(area)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, h) {
			t.Errorf("version %d:\n got %+v\nwant %+v", version, got, h)
		}
		p := dirty(int(h.HeaderBytes))
		h.Encode(p)
		if !bytes.Equal(p, area[:h.HeaderBytes]) {
			t.Errorf("version %d: Encode depends on what was in memory", version)
		}
	}
}

func TestHeaderRejects(t *testing.T) {
	put32 := func(at int, v uint32) func([]byte) {
		return func(p []byte) { binary.BigEndian.PutUint32(p[at:], v) }
	}
	put64 := func(at int, v uint64) func([]byte) {
		return func(p []byte) { binary.BigEndian.PutUint64(p[at:], v) }
	}
	cases := []struct {
		field  string
		change func([]byte)
	}{
		{"magic", put32(0, 0x514649fa)},
		{"version", put32(4, 1)},
		{"version", put32(4, 4)},
		{"backing_file_offset", put64(8, 100)},
		{"backing_file_offset", put64(8, 1<<16-1)},
		{"backing_file_offset", put64(8, 1<<63)},
		{"backing_file_size", put32(16, 1024)},
		{"cluster_bits", put32(20, 8)},
		{"cluster_bits", put32(20, 22)},
		{"cluster_bits", func(p []byte) { put32(20, 13)(p); put64(72, IncompatExtendedL2|IncompatCompression)(p) }},
		{"size", put64(24, 1<<62+1)},
		{"crypt_method", put32(32, 3)},
		{"l1_size", put32(36, 1)},
		{"l1_size", put32(36, 4<<20+1)},
		{"l1_table_offset", put64(40, 3<<16+512)},
		{"l1_table_offset", put64(40, 0)},
		{"l1_table_offset", put64(40, 1<<56)},
		{"refcount_table_offset", put64(48, 0)},
		{"refcount_table_offset", put64(48, 1)},
		{"refcount_table_clusters", put32(56, 0)},
		{"refcount_table_clusters", put32(56, 129)},
		{"nb_snapshots", put32(60, 65537)},
		{"snapshots_offset", put64(64, 0)},
		{"snapshots_offset", put64(64, 77)},
		{"refcount_order", put32(96, 7)},
		{"header_length", put32(100, 96)},
		{"header_length", put32(100, 121)},
		{"header_length", put32(100, 1<<31)},
		{"compression_type", func(p []byte) { p[104] = 0 }},
		{"compression_type", put64(72, 0)},
		{"length", put32(124, 1<<20)},
	}
	for _, c := range cases {
		p, _ := validHeader().AppendArea(nil)
		c.change(p)
		_, err := decode(p)
		var fe *diskerr.FormatError
		if !errors.As(err, &fe) || fe.Field != c.field || !errors.Is(err, diskerr.ErrCorrupt) {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
}

func TestHeaderTruncated(t *testing.T) {
	p, _ := validHeader().AppendArea(nil)
	for n := range len(p) - 1 {
		if h, err := decode(p[:n]); err == nil && n < int(h.BackingOffset+uint64(h.BackingBytes)) {
			t.Errorf("a header cut to %d bytes was accepted", n)
		}
	}
}

func TestCheckFeatures(t *testing.T) {
	cases := []struct {
		change func(*Header)
		want   string
	}{
		{func(h *Header) {}, ""},
		{func(h *Header) { h.Incompatible |= IncompatDirty | IncompatCorrupt | IncompatExtendedL2 }, ""},
		{func(h *Header) { h.Crypt = CryptAES }, "AES encryption"},
		{func(h *Header) { h.Crypt = CryptLUKS }, "LUKS encryption"},
		{func(h *Header) { h.Incompatible |= IncompatDataFile }, "external data file"},
		{func(h *Header) { h.Incompatible |= 1 << 63 }, "time travel"},
		{func(h *Header) { h.Incompatible |= 1 << 62 }, "incompatible feature bit 62"},
		{func(h *Header) { h.Compression = 2 }, "compression type 2"},
	}
	for _, c := range cases {
		h := validHeader()
		c.change(h)
		err := h.CheckFeatures()
		if c.want == "" {
			if err != nil {
				t.Errorf("unexpected %v", err)
			}
			continue
		}
		var fe *diskerr.FeatureError
		if !errors.As(err, &fe) || len(fe.Names) != 1 || fe.Names[0] != c.want {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
}

func TestAreaTooLarge(t *testing.T) {
	h := validHeader()
	h.SetExtension(0x77, make([]byte, 1<<16))
	if _, err := h.AppendArea(nil); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
}

func TestSetExtension(t *testing.T) {
	h := validHeader()
	h.SetExtension(ExtBackingFormat, []byte("qcow2"))
	h.SetExtension(0x12345678, nil)
	h.SetExtension(0x99, []byte{1})
	h.SetExtension(0x98, nil)
	if h.BackingFormat() != "qcow2" || len(h.Extensions) != 3 {
		t.Errorf("got %+v", h.Extensions)
	}
	if _, ok := h.Extension(0x12345678); ok {
		t.Error("the removed extension is still there")
	}
}

func FuzzHeader(f *testing.F) {
	p, _ := validHeader().AppendArea(nil)
	f.Add(p)
	f.Add(p[:104])
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := decode(p)
		if err != nil {
			return
		}
		_ = h.CheckFeatures()
		_, _ = h.Bitmaps()
		area, err := h.AppendArea(dirty(1)[:0])
		if err != nil {
			return // it decoded from an area without room for the end mark
		}
		again, err := decode(area)
		if err != nil {
			t.Fatalf("does not decode what it encoded: %v", err)
		}
		if h.BackingBytes == 0 {
			h.BackingOffset = 0
		}
		if !reflect.DeepEqual(again, h) {
			t.Fatalf("got %+v\nwant %+v", again, h)
		}
	})
}
