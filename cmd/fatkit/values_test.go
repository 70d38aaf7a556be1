package main

import (
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "512": 512, "512B": 512, "1440K": 1440 << 10, "1440KiB": 1440 << 10, "64m": 64 << 20,
		"3G": 3 << 30, "2TiB": 2 << 40, "1.5M": 3 << 19, ".5K": 0, "3.1G": 3328598016, "7E": 7 << 60,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "K", ".", "-1", "+1", "1KB", "1 K", "0x10", "1e9", "1e999999999", "1/2G", "1_000", "8E", "99999999999999999999", "1Ki", "5X", "1.2.3M", "KK",
	} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d; want an error", in, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"3.1G", "512", "1e9", "..", "7EiB", "0.00000000001P"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Fatalf("parseSize(%q) = %d", s, n)
		}
	})
}

func TestParseTimezone(t *testing.T) {
	for in, want := range map[string]int{"utc": 0, "UTC": 0, "+00:00": 0, "+05:30": 19800, "-03:00": -10800, "+14:00": 50400} {
		zone, err := parseTimezone(in)
		if err != nil {
			t.Errorf("parseTimezone(%q): %v", in, err)
			continue
		}
		if _, got := time.Unix(0, 0).In(zone).Zone(); got != want {
			t.Errorf("parseTimezone(%q) is %d s east; want %d", in, got, want)
		}
	}
	if zone, err := parseTimezone("local"); err != nil || zone != time.Local {
		t.Errorf("parseTimezone(local) = %v, %v", zone, err)
	}
	for _, in := range []string{"", "CET", "+5:30", "+0530", "+15:00", "+01:60", "05:30", "+ab:cd", "++1:00", "+1+:00"} {
		if zone, err := parseTimezone(in); err == nil {
			t.Errorf("parseTimezone(%q) = %v; want an error", in, zone)
		}
	}
}

func TestHexValue(t *testing.T) {
	for in, want := range map[string]uint32{"1234ABCD": 0x1234abcd, "1234-abcd": 0x1234abcd, "0xFF": 0xff, "0": 0} {
		var n *uint32
		if err := (&hexValue{&n}).Set(in); err != nil || n == nil || *n != want {
			t.Errorf("hexValue.Set(%q) = %v, %v; want %x", in, n, err, want)
		}
	}
	for _, in := range []string{"", "123456789", "12-34", "xyz", "-1"} {
		var n *uint32
		if err := (&hexValue{&n}).Set(in); err == nil {
			t.Errorf("hexValue.Set(%q) = %x; want an error", in, *n)
		}
	}
}
