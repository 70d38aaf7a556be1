package main

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// sizeUnits are the letters after a number of bytes; each stands for 1024
// times the one before.
const sizeUnits = "KMGTPE"

// parseSize reads a number of bytes such as 512, 1440K, 64M, 3.1G or 2TiB. The
// units are binary. A size with a fraction is rounded down to a multiple of
// 4096, which every sector size divides.
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "KMGTPEkmgtpeiB")
	factor, ok := sizeFactor(s[len(number):])
	// big.Rat reads more than decimal numbers, some of them enormous.
	ok = ok && strings.Trim(number, "0123456789.") == ""
	value := new(big.Rat)
	if ok {
		_, ok = value.SetString(number)
	}
	if !ok {
		return 0, fmt.Errorf("%q is not a size: write bytes, or a number with K, M, G or T (powers of 1024)", s)
	}
	value.Mul(value, new(big.Rat).SetInt64(factor))
	bytes := new(big.Int).Quo(value.Num(), value.Denom())
	if !bytes.IsInt64() || bytes.Int64() > math.MaxInt64-4096 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	n := bytes.Int64()
	if strings.Contains(number, ".") {
		n -= n % 4096
	}
	return n, nil
}

// sizeFactor returns the bytes of a unit: "", "B", or a letter alone or with
// "iB" after it. KB is refused, because half the world means 1000 by it.
func sizeFactor(unit string) (int64, bool) {
	if unit == "" || unit == "B" {
		return 1, true
	}
	i := strings.Index(sizeUnits, strings.ToUpper(unit[:1]))
	if i < 0 || unit[1:] != "" && unit[1:] != "iB" {
		return 0, false
	}
	return 1 << (10 * (i + 1)), true
}

// sizeValue is a flag that holds a number of bytes.
type sizeValue struct {
	bytes *int64
	text  string
}

func (v *sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	*v.bytes, v.text = n, s
	return nil
}

func (v *sizeValue) String() string { return v.text }
func (v *sizeValue) Type() string   { return "SIZE" }

// parseTimezone reads local, utc, or an offset east of UTC such as +05:30.
func parseTimezone(s string) (*time.Location, error) {
	switch strings.ToLower(s) {
	case "local":
		return time.Local, nil
	case "utc", "z":
		return time.UTC, nil
	}
	bad := fmt.Errorf("%q is not a time zone: write local, utc or an offset such as +05:30", s)
	if len(s) != len("+hh:mm") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return nil, bad
	}
	hours, err1 := strconv.ParseUint(s[1:3], 10, 8)
	minutes, err2 := strconv.ParseUint(s[4:], 10, 8)
	if err1 != nil || err2 != nil || hours > 14 || minutes > 59 {
		return nil, bad
	}
	seconds := int(hours)*3600 + int(minutes)*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone(s, seconds), nil
}

// zoneValue is a flag that holds a time zone.
type zoneValue struct {
	zone **time.Location
	text string
}

func (v *zoneValue) Set(s string) error {
	zone, err := parseTimezone(s)
	if err != nil {
		return err
	}
	*v.zone, v.text = zone, s
	return nil
}

func (v *zoneValue) String() string { return v.text }
func (v *zoneValue) Type() string   { return "ZONE" }

// choiceValue is a flag that takes one of a few words.
type choiceValue struct {
	word    *string
	choices []string
	kind    string // what help calls the value; empty for the choices themselves
}

func (v *choiceValue) Set(s string) error {
	for _, c := range v.choices {
		if s == c {
			*v.word = s
			return nil
		}
	}
	return fmt.Errorf("write one of %s", strings.Join(v.choices, ", "))
}

func (v *choiceValue) String() string { return *v.word }

func (v *choiceValue) Type() string {
	if v.kind != "" {
		return v.kind
	}
	return strings.Join(v.choices, "|")
}

// hexValue is a flag that holds a 32-bit number in hexadecimal, such as a
// volume serial number: 1234ABCD, 1234-ABCD or 0x1234abcd.
type hexValue struct{ number **uint32 }

func (v *hexValue) Set(s string) error {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	if len(digits) == 9 && digits[4] == '-' {
		digits = digits[:4] + digits[5:]
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return fmt.Errorf("%q is not a number of up to eight hexadecimal digits", s)
	}
	n32 := uint32(n)
	*v.number = &n32
	return nil
}

func (v *hexValue) String() string {
	if *v.number == nil {
		return ""
	}
	return fmt.Sprintf("%08X", **v.number)
}

func (v *hexValue) Type() string { return "HEX" }

// labelValue is a flag that holds a volume label. An empty one, given as such,
// means no label.
type labelValue struct {
	text string
	none bool
}

func (v *labelValue) Set(s string) error {
	v.text, v.none = s, s == ""
	return nil
}

func (v *labelValue) String() string { return v.text }
func (v *labelValue) Type() string   { return "LABEL" }

// unixSeconds reads SOURCE_DATE_EPOCH, the moment that a reproducible build
// takes for now (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
// The zero time means that the variable is not set.
func unixSeconds(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, usageError("SOURCE_DATE_EPOCH is %q: it must be seconds since 1970", s)
	}
	return time.Unix(n, 0), nil
}
