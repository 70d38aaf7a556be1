package stack

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// LocationKind says where a location is.
type LocationKind uint8

const (
	// OnHost is a path of the host.
	OnHost LocationKind = iota
	// InImage is a path in the volume of an image, directory or URI.
	InImage
	// InDrive is a path in the volume that a drive letter stands for.
	InDrive
	// Stdio is standard input or output.
	Stdio
)

// Location is a place that somebody wrote on a command line; see
// [ParseLocation]. It opens nothing.
type Location struct {
	Kind    LocationKind
	Text    string // as it was written
	Image   string // of InImage: the name of the image
	Drive   byte   // of InDrive: the letter, in upper case
	Path    string // on the host as written; else the name in the volume, as in io/fs: "." is its root
	DirOnly bool   // written with a slash at its end: a directory is meant
}

// Drives knows which drive letters stand for a volume.
type Drives interface {
	// HasDrive reports whether letter, which is in upper case, stands for one.
	HasDrive(letter byte) bool
}

// LocationSyntax says how locations are read.
type LocationSyntax struct {
	Image   string // what "::" stands for; "" if nothing
	Drives  Drives // nil if there are none
	Windows bool   // "c:/x" is a path of the host where no drive c is defined
}

// LocationError says that a text is no location.
type LocationError struct {
	Text   string
	Reason string
}

func (e *LocationError) Error() string { return e.Text + ": " + e.Reason }

// ParseLocation reads a location:
//
//   - standard input or output
//     ::/PATH, ::PATH in the volume of Image, as mtools writes it
//     X:/PATH, X:PATH in the volume of drive X, if that is defined
//     IMAGE:/PATH     in the volume of IMAGE, which is any name that OpenFileSystem
//     takes; the last ":/" that is not part of "://" divides
//     anything else   a path of the host
//
// A file of the host whose name looks like another form is written with "./" in
// front if that helps, or with "::" otherwise.
func ParseLocation(text string, syntax LocationSyntax) (Location, error) {
	if text == "" {
		return Location{}, &LocationError{`""`, "an empty name means nothing"}
	}
	if text == "-" {
		return Location{Kind: Stdio, Text: text}, nil
	}
	if rest, ok := strings.CutPrefix(text, "::"); ok {
		if syntax.Image == "" {
			return Location{}, &LocationError{text, `"::" is the image of -i, which is missing`}
		}
		return inside(Location{Kind: InImage, Text: text, Image: syntax.Image}, rest)
	}
	if len(text) > 1 && isLetter(text[0]) && text[1] == ':' {
		if l, done, err := parseDrive(text, syntax); done || err != nil {
			return l, err
		}
	}
	image, rest, ok := cutImage(text)
	if !ok {
		return onHost(text), nil
	}
	return inside(Location{Kind: InImage, Text: text, Image: image}, rest)
}

// onHost returns a path of the host.
func onHost(text string) Location { return Location{Kind: OnHost, Text: text, Path: text} }

// parseDrive reads a text that begins with a letter and a colon. done is false
// if it is something else after all.
func parseDrive(text string, syntax LocationSyntax) (l Location, done bool, err error) {
	letter := text[0] &^ 0x20
	if syntax.Drives != nil && syntax.Drives.HasDrive(letter) {
		l, err = inside(Location{Kind: InDrive, Text: text, Drive: letter}, text[2:])
		return l, true, err
	}
	if image, _, ok := cutImage(text); !ok || len(image) > 1 {
		return l, false, nil // "c:x", or "c:/disk.img:/x" of Windows
	}
	if syntax.Windows {
		return onHost(text), true, nil
	}
	return l, false, &LocationError{text, fmt.Sprintf("there is no drive %c: write ./%s for a file of that name", letter, text)}
}

// cutImage divides text at the last ":/" that is not part of "://". What would
// leave a fat: name without its directory divides nothing.
func cutImage(text string) (image, rest string, ok bool) {
	for end := len(text); ; {
		i := strings.LastIndex(text[:end], ":/")
		if i <= 0 {
			return "", "", false
		}
		if strings.HasPrefix(text[i:], "://") {
			end = i
			continue
		}
		if IsFatName(text) {
			if _, err := ParseFatName(text[:i+1]); err != nil {
				return "", "", false
			}
		}
		return text[:i], text[i+1:], true
	}
}

// inside fills in the path in a volume.
func inside(l Location, written string) (Location, error) {
	l.DirOnly = strings.HasSuffix(written, "/")
	l.Path = strings.TrimPrefix(path.Clean("/"+written), "/")
	if l.Path == "" {
		l.Path = "."
	}
	if !fs.ValidPath(l.Path) || strings.Contains(l.Path, "\x00") {
		return Location{}, &LocationError{l.Text, "is not valid UTF-8, as names in a volume are"}
	}
	return l, nil
}

// Inside reports whether the location is in a volume.
func (l *Location) Inside() bool { return l.Kind == InImage || l.Kind == InDrive }

// String returns the location as it was written.
func (l *Location) String() string { return l.Text }
