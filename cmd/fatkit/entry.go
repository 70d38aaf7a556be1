package main

import (
	"io/fs"
	"time"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/vfs"
)

// entryJSON is a file or directory, as programs see it.
type entryJSON struct {
	Path         string   `json:"path"` // within the volume, "/" at the front
	Name         string   `json:"name"`
	ShortName    string   `json:"short_name"` // "" on other systems than FAT
	Type         string   `json:"type"`       // "file" or "directory"
	Size         int64    `json:"size"`
	Attributes   []string `json:"attributes"` // of readonly, hidden, system, archive
	Modified     string   `json:"modified,omitempty"`
	Created      string   `json:"created,omitempty"`
	Accessed     string   `json:"accessed,omitempty"` // a date
	FirstCluster uint32   `json:"first_cluster"`      // 0 on other systems than FAT
}

// attributes are the letters and names of DOS attributes, in the order in which
// they are printed.
var attributes = []struct {
	bit    vfs.Attr
	letter byte
	name   string
}{
	{vfs.AttrReadOnly, 'r', "readonly"}, {vfs.AttrHidden, 'h', "hidden"},
	{vfs.AttrSystem, 's', "system"}, {vfs.AttrArchive, 'a', "archive"},
}

// entryOf returns what FAT knows of a file. Of a file of another system that is
// made from what is known.
func entryOf(fi fs.FileInfo) *fat.Entry {
	if e, ok := fi.Sys().(*fat.Entry); ok {
		return e
	}
	e := &fat.Entry{Times: vfs.TimesOf(fi)}
	if !fi.IsDir() && fi.Mode().Perm()&0o200 == 0 {
		e.Attr = vfs.AttrReadOnly
	}
	return e
}

// describeEntry returns the form of an object for programs.
func describeEntry(p fileops.Place, fi fs.FileInfo) entryJSON {
	e := entryOf(fi)
	j := entryJSON{
		Path: "/", Name: fi.Name(), ShortName: e.ShortName, Type: "file", Size: fi.Size(), Attributes: []string{},
		Modified: isoTime(e.Times.Modified, time.RFC3339), Created: isoTime(e.Times.Created, time.RFC3339Nano),
		Accessed: isoTime(e.Times.Accessed, time.DateOnly), FirstCluster: e.FirstCluster,
	}
	if fi.IsDir() {
		j.Type = "directory"
	}
	if p.Path != "." {
		j.Path += p.Path
	}
	for _, a := range attributes {
		if e.Attr&a.bit != 0 {
			j.Attributes = append(j.Attributes, a.name)
		}
	}
	return j
}

// isoTime writes a time, or nothing for one that is unknown.
func isoTime(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(layout)
}

// attributeLetters writes d and r h s a, or dashes.
func attributeLetters(fi fs.FileInfo) string {
	letters := []byte("-----")
	if fi.IsDir() {
		letters[0] = 'd'
	}
	for i, a := range attributes {
		if entryOf(fi).Attr&a.bit != 0 {
			letters[i+1] = a.letter
		}
	}
	return string(letters)
}
