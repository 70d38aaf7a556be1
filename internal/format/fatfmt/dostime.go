package fatfmt

import "time"

// A date and a time of day are 16 bits each. FAT 1.03, "FAT Directory
// Structure", date and time formats:
//
//	date  15…9 year since 1980   8…5 month 1…12   4…0 day 1…31
//	time  15…11 hour             10…5 minute      4…0 seconds / 2
//
// A creation time adds a byte that counts 10 ms, up to 1.99 s. The medium does
// not say in which zone the times are; local time is the convention.

// Range of the years that a date can hold.
const (
	minYear = 1980
	maxYear = minYear + 127
)

// EncodeTime returns t, as a clock in loc shows it, in the form of the medium:
// date, time of day in 2 s steps rounded down, and the rest in units of 10 ms,
// 0…199. A time before 1980 gives the first moment that can be written, a time
// after 2107 the last.
func EncodeTime(t time.Time, loc *time.Location) (date, clock uint16, tenths byte) {
	t = t.In(loc)
	year, month, day := t.Date()
	if year < minYear {
		return packDate(minYear, time.January, 1), 0, 0
	}
	if year > maxYear {
		return packDate(maxYear, time.December, 31), packClock(23, 59, 58), 199
	}
	hour, minute, second := t.Clock()
	tenths = byte(second%2*100 + t.Nanosecond()/10_000_000)
	return packDate(year, month, day), packClock(hour, minute, second), tenths
}

func packDate(year int, month time.Month, day int) uint16 {
	return uint16((year-minYear)<<9 | int(month)<<5 | day)
}

func packClock(hour, minute, second int) uint16 {
	return uint16(hour<<11 | minute<<5 | second/2)
}

// DecodeTime returns the time of the medium, taken to be in loc. ok is false
// if a part is outside its range; it is then brought into it, since day 0 and
// month 0 do occur. A date of 0 means "no time": the zero time.Time, false.
func DecodeTime(date, clock uint16, tenths byte, loc *time.Location) (t time.Time, ok bool) {
	if date == 0 {
		return time.Time{}, false
	}
	ok = true
	within := func(v, lo, hi int) int {
		w := min(max(v, lo), hi)
		ok = ok && w == v
		return w
	}
	year := minYear + int(date>>9)
	month := time.Month(within(int(date>>5&15), 1, 12))
	lastDay := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	day := within(int(date&31), 1, lastDay)
	hour := within(int(clock>>11), 0, 23)
	minute := within(int(clock>>5&63), 0, 59)
	second := 2 * within(int(clock&31), 0, 29)
	rest := within(int(tenths), 0, 199)
	return time.Date(year, month, day, hour, minute, second+rest/100, rest%100*10_000_000, loc), ok
}
