package fatfmt

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zone = time.FixedZone("+05:30", 5*3600+1800)

func TestTimeIdentity(t *testing.T) {
	first := time.Date(1980, 1, 1, 0, 0, 0, 0, zone)
	last := time.Date(2108, 1, 1, 0, 0, 0, 0, zone)
	rapid.Check(t, func(t *rapid.T) {
		in := time.Unix(rapid.Int64Range(first.Unix(), last.Unix()-1).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		date, clock, tenths := EncodeTime(in, zone)
		out, ok := DecodeTime(date, clock, tenths, zone)
		if d := in.Sub(out); !ok || d < 0 || d >= 10*time.Millisecond {
			t.Fatalf("%v became %v", in, out)
		}
		if out, _ := DecodeTime(date, clock, 0, zone); in.Sub(out) < 0 || in.Sub(out) >= 2*time.Second {
			t.Fatalf("without the tenths, %v became %v", in, out)
		}
	})
}

// The bits, spelled out once by hand, and the ends of the range.
func TestEncodeTime(t *testing.T) {
	for _, tc := range []struct {
		t           time.Time
		date, clock uint16
		tenths      byte
	}{
		{time.Date(2024, 2, 29, 13, 47, 39, 560_000_000, time.UTC), 44<<9 | 2<<5 | 29, 13<<11 | 47<<5 | 19, 156},
		{time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), 0x21, 0, 0},
		{time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), 0x21, 0, 0},
		{time.Time{}, 0x21, 0, 0},
		{time.Date(2107, 12, 31, 23, 59, 59, 999_999_999, time.UTC), 0xFF9F, 0xBF7D, 199},
		{time.Date(2108, 1, 1, 0, 0, 0, 0, time.UTC), 0xFF9F, 0xBF7D, 199},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 0xFF9F, 0xBF7D, 199},
	} {
		if date, clock, tenths := EncodeTime(tc.t, time.UTC); date != tc.date || clock != tc.clock || tenths != tc.tenths {
			t.Errorf("%v is %#x %#x %d", tc.t, date, clock, tenths)
		}
	}
	if date, _, _ := EncodeTime(time.Date(1980, 1, 1, 2, 0, 0, 0, time.UTC), time.FixedZone("", -3*3600)); date != 0x21 {
		t.Errorf("1979 in the zone is %#x", date)
	}
}

// What is no time is brought into range and told.
func TestDecodeTimeOddities(t *testing.T) {
	date := func(y, m, d uint16) uint16 { return y<<9 | m<<5 | d }
	for _, tc := range []struct {
		date, clock uint16
		tenths      byte
		want        time.Time
		ok          bool
	}{
		{0, 0xFFFF, 255, time.Time{}, false},
		{date(10, 0, 5), 0, 0, time.Date(1990, 1, 5, 0, 0, 0, 0, time.UTC), false},
		{date(10, 5, 0), 0, 0, time.Date(1990, 5, 1, 0, 0, 0, 0, time.UTC), false},
		{date(10, 15, 5), 0, 0, time.Date(1990, 12, 5, 0, 0, 0, 0, time.UTC), false},
		{date(11, 2, 31), 0, 0, time.Date(1991, 2, 28, 0, 0, 0, 0, time.UTC), false},
		{date(12, 2, 29), 0, 0, time.Date(1992, 2, 29, 0, 0, 0, 0, time.UTC), true},
		{date(10, 5, 5), 24 << 11, 0, time.Date(1990, 5, 5, 23, 0, 0, 0, time.UTC), false},
		{date(10, 5, 5), 60 << 5, 0, time.Date(1990, 5, 5, 0, 59, 0, 0, time.UTC), false},
		{date(10, 5, 5), 31, 0, time.Date(1990, 5, 5, 0, 0, 58, 0, time.UTC), false},
		{date(10, 5, 5), 0, 200, time.Date(1990, 5, 5, 0, 0, 1, 990_000_000, time.UTC), false},
		{date(127, 12, 31), 0xBF7D, 199, time.Date(2107, 12, 31, 23, 59, 59, 990_000_000, time.UTC), true},
	} {
		if got, ok := DecodeTime(tc.date, tc.clock, tc.tenths, time.UTC); !got.Equal(tc.want) || ok != tc.ok {
			t.Errorf("%#x %#x %d is %v, %v, want %v, %v", tc.date, tc.clock, tc.tenths, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzTime(f *testing.F) {
	f.Add(uint16(0x21), uint16(0), byte(0))
	f.Add(uint16(0xFFFF), uint16(0xFFFF), byte(255))
	f.Fuzz(func(t *testing.T, date, clock uint16, tenths byte) {
		in, ok := DecodeTime(date, clock, tenths, time.UTC)
		if !ok {
			return
		}
		if d, c, n := EncodeTime(in, time.UTC); d != date || c != clock || n != tenths {
			t.Fatalf("%#x %#x %d became %#x %#x %d", date, clock, tenths, d, c, n)
		}
	})
}
