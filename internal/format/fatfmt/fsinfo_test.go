package fatfmt

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
)

func TestFSInfo(t *testing.T) {
	in := FSInfo{Free: 0x01020304, Next: 0x0A0B0C0D}
	p := dirty(4096)
	in.Encode(p)
	want := make([]byte, 4096)
	copy(want, "RRaA")
	copy(want[484:], "rrAa\x04\x03\x02\x01\x0D\x0C\x0B\x0A")
	copy(want[508:], "\x00\x00\x55\xAA")
	if !bytes.Equal(p, want) {
		t.Error("the sector differs from the specification")
	}
	if out, err := DecodeFSInfo(p); err != nil || out != in {
		t.Errorf("got %+v, %v", out, err)
	}
	for field, off := range map[string]int{"FSI_LeadSig": 3, "FSI_StrucSig": 484, "FSI_TrailSig": 508} {
		q := bytes.Clone(p)
		q[off]++
		_, err := DecodeFSInfo(q)
		var fe *diskerr.FormatError
		if !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := DecodeFSInfo(p[:511]); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("short sector: got %v", err)
	}
	g := Geometry{Clusters: 100}
	for in, want := range map[FSInfo]FSInfo{
		{100, 101}: {100, 101}, {101, 102}: {UnknownCount, UnknownCount}, {0, 1}: {0, UnknownCount}, {UnknownCount, 2}: {UnknownCount, 2},
	} {
		if got := in.Sane(&g); got != want {
			t.Errorf("%+v is %+v, want %+v", in, got, want)
		}
	}
}

func FuzzFSInfo(f *testing.F) {
	p := make([]byte, 512)
	FSInfo{5, 6}.Encode(p)
	f.Add(p)
	f.Add(p[:100])
	f.Fuzz(func(t *testing.T, p []byte) {
		in, err := DecodeFSInfo(p)
		if err != nil {
			return
		}
		q := dirty(512)
		in.Encode(q)
		if out, err := DecodeFSInfo(q); err != nil || out != in {
			t.Fatalf("got %+v, %v, want %+v", out, err, in)
		}
	})
}
