package shell

import (
	"strconv"
	"strings"
)

// show returns s, or s quoted if it holds what would steer a terminal: names
// come from anywhere.
func show(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) && r != '\u3000' {
			return strconv.Quote(s)
		}
	}
	return s
}

// grouped writes a number with its digits in groups of three.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return strings.Join(append([]string{s}, parts...), ",")
}

// plural writes a number of things.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}
