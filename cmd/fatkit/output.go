package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/fatkit/fatkit/diskerr"
)

// isTerminal reports whether an input or output is a terminal, so that a person
// is likely to sit at it.
func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printable returns s, or s quoted if it holds what would not show on a
// terminal or would steer it: names of files come from anywhere.
func printable(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) {
		return q
	}
	return s
}

// count writes a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// shellQuote writes s so that a POSIX shell takes it for one word.
func shellQuote(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_") == ""
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// terminalWidth returns the columns of a terminal, or 80.
func terminalWidth(file any) int {
	if f, ok := file.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// humanBytes writes a number of bytes in as few characters as du -h does: 512,
// 1.5K, 64M.
func humanBytes(n int64) string {
	s := strings.TrimSuffix(strings.TrimSuffix(strings.ReplaceAll(diskerr.FormatBytes(n), " ", ""), "B"), "i")
	return s
}
