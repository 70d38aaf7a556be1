package fatfmt

import (
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The name mapping gives every host name a place on a FAT disk, and gives the
// host name back.
//
// A host name is any sequence of bytes without '/' and NUL. Most are names on
// FAT as they are. In the others, single bytes b are replaced by the private
// character U+F000+b, as Cygwin and WSL do:
//
//   - the characters `"*:<>?\|` and those below 0x20: one byte each;
//   - a dot or space at the very end of the name, which systems would strip;
//   - bytes that are no valid UTF-8: each of them;
//   - the characters U+F000…U+F0FF themselves, and U+FFFE and U+FFFF: each of
//     their three bytes, so that a replaced byte cannot be mistaken.
//
// The way back is to turn each U+F000+b into the byte b. So the mapping is
// reversible without a table: different host names stay different.
//
//	a:b        a U+F03A b
//	end.       end U+F02E
//	caf\xE9    caf U+F0E9
//	U+F03A     U+F0EF U+F080 U+F0BA
//
// What is still impossible, a mapped name of more than MaxNameUnits units and
// a name that differs from a sibling in case only, is made possible by
// [DistinctName]; that needs the caller's table to be undone.

const (
	privateFirst = 0xF000 // U+F000+b stands for the byte b
	privateLast  = 0xF0FF
)

// MapName returns the name by which the host name appears on a FAT disk, and
// whether it differs from host. host must not be empty and should hold neither
// '/' nor NUL. The result is legal but for its length, which may exceed
// MaxNameUnits; see [DistinctName].
func MapName(host string) (fat string, changed bool) {
	if !needsMapping(host) {
		return host, false
	}
	var b strings.Builder
	for i := 0; i < len(host); {
		r, n := utf8.DecodeRuneInString(host[i:])
		last := i+n == len(host)
		if r == utf8.RuneError && n == 1 || forbidden(r) || isPrivate(r) || last && (r == '.' || r == ' ') {
			for _, c := range []byte(host[i : i+n]) {
				b.WriteRune(privateFirst + rune(c))
			}
		} else {
			b.WriteString(host[i : i+n])
		}
		i += n
	}
	return b.String(), true
}

// needsMapping reports whether MapName has anything to replace in host.
func needsMapping(host string) bool {
	if endsInStripped(host) {
		return true
	}
	for i, r := range host {
		if forbidden(r) || isPrivate(r) {
			return true
		}
		if r == utf8.RuneError && !strings.HasPrefix(host[i:], string(utf8.RuneError)) {
			return true
		}
	}
	return false
}

func isPrivate(r rune) bool { return r >= privateFirst && r <= privateLast }

// UnmapName returns the host name that [MapName] turns into fat. ok is false
// if there is none that can be used on the host: fat holds a private character
// where MapName would not put it, or stands for a name with '/' or NUL, for
// ".", ".." or nothing. A guest can write such names; they must be refused or
// used as they are, never unmapped by force.
func UnmapName(fat string) (host string, ok bool) {
	if !strings.ContainsFunc(fat, isPrivate) {
		mapped, _ := MapName(fat)
		return fat, mapped == fat && safeHostName(fat)
	}
	buf := make([]byte, 0, len(fat))
	for _, r := range fat {
		if isPrivate(r) {
			buf = append(buf, byte(r-privateFirst))
		} else {
			buf = utf8.AppendRune(buf, r)
		}
	}
	host = string(buf)
	mapped, _ := MapName(host)
	return host, mapped == fat && safeHostName(host)
}

// safeHostName reports whether name is a single element of a host path.
func safeHostName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// maxKeptExt is the longest extension, dot included, in UTF-16 code units,
// that DistinctName keeps.
const maxKeptExt = 17

// DistinctName returns another name for the host name: fat, which is
// MapName(host), with "~" and eight hexadecimal digits, a hash of host and
// try, before its extension. The part before is cut, at a character, so that
// all fits in MaxNameUnits units. Since the digits depend on this one name
// only, a sibling that comes or goes does not change it. Should the result
// collide nevertheless, the caller counts try up from 0.
//
//	Readme.txt  Readme~5f3a90c1.txt
func DistinctName(fat, host string, try int) string {
	h := fnv.New32a()
	h.Write([]byte(host))
	if try > 0 {
		fmt.Fprintf(h, "/%d", try) // no host name holds a slash
	}
	base, ext := fat, ""
	if dot := strings.LastIndexByte(fat, '.'); dot > 0 && UTF16Len(fat[dot:]) <= maxKeptExt {
		base, ext = fat[:dot], fat[dot:]
	}
	suffix := fmt.Sprintf("~%08x", h.Sum32())
	return cutUnits(base, MaxNameUnits-len(suffix)-UTF16Len(ext)) + suffix + ext
}

// cutUnits returns the longest prefix of s that has at most max UTF-16 code
// units and splits no character.
func cutUnits(s string, maxUnits int) string {
	units := 0
	for i, r := range s {
		units += max(utf16.RuneLen(r), 1)
		if units > maxUnits {
			return s[:i]
		}
	}
	return s
}
