package hostfs

import "testing"

func TestParseDOSAttribute(t *testing.T) {
	for _, c := range []struct {
		value string
		want  byte
		ok    bool
	}{
		{"0x22", 0x22, true}, {"0x6", 6, true}, {"0xFf", 0xff, true}, {"0x20\x00\x03\x00", 0x20, true},
		{"", 0, false}, {"22", 0, false}, {"0x", 0, false}, {"0x122", 0, false}, {"0x-2", 0, false}, {"\x00\x00\x05", 0, false}, {"0x2g", 0, false},
	} {
		if got, ok := ParseDOSAttribute([]byte(c.value)); ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %#x, %v", c.value, got, ok)
		}
	}
}
