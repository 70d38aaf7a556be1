package stack

import (
	"io/fs"
	"strings"
	"testing"
)

// letters are the drives that are defined.
type letters string

func (l letters) HasDrive(letter byte) bool { return strings.IndexByte(string(l), letter) >= 0 }

func TestParseLocation(t *testing.T) {
	unix := LocationSyntax{}
	mtools := LocationSyntax{Image: "floppy.img"}
	drives := LocationSyntax{Drives: letters("AC")}
	windows := LocationSyntax{Windows: true}
	both := LocationSyntax{Windows: true, Drives: letters("C")}
	in := func(image, path string) Location { return Location{Kind: InImage, Image: image, Path: path} }
	host := func(path string) Location { return Location{Kind: OnHost, Path: path} }
	drive := func(letter byte, path string) Location { return Location{Kind: InDrive, Drive: letter, Path: path} }
	for _, c := range []struct {
		text   string
		syntax LocationSyntax
		want   Location
	}{
		{"disk.img:/a/b", unix, in("disk.img", "a/b")},
		{"disk.img:/", unix, in("disk.img", ".")},
		{"disk.img:/a//b/../c/.", unix, in("disk.img", "a/c")},
		{"disk.img:/../..", unix, in("disk.img", ".")},
		{"a:/b.img:/c", unix, in("a:/b.img", "c")},
		{"./c:/x", unix, in("./c", "x")},
		{"/dev/sdb1:/EFI", unix, in("/dev/sdb1", "EFI")},
		{"nbd://host/export:/a", unix, in("nbd://host/export", "a")},
		{"nbd://host:10809/:/a", unix, in("nbd://host:10809/", "a")},
		{"nbd+unix:///disk?socket=/run/s:/a/b", unix, in("nbd+unix:///disk?socket=/run/s", "a/b")},
		{"nbd://host/export", unix, host("nbd://host/export")},
		{"fat:16:/dir:/a", unix, in("fat:16:/dir", "a")},
		{"fat:/dir:/a", unix, in("fat:/dir", "a")},
		{"fat:/dir", unix, host("fat:/dir")},
		{"fat:floppy:12:/dir", unix, host("fat:floppy:12:/dir")},
		{"::/a/b", mtools, in("floppy.img", "a/b")},
		{"::a/b", mtools, in("floppy.img", "a/b")},
		{"::", mtools, in("floppy.img", ".")},
		{"::a:/b", mtools, in("floppy.img", "a:/b")},
		{"a/b", unix, host("a/b")},
		{"./-", unix, host("./-")},
		{"a:b", unix, host("a:b")},
		{"c:", unix, host("c:")},
		{"c:/x", windows, host("c:/x")},
		{`c:\x`, windows, host(`c:\x`)},
		{"c:/disk.img:/x", windows, in("c:/disk.img", "x")},
		{`c:\disk.img:/x`, windows, in(`c:\disk.img`, "x")},
		{"c:/x", both, drive('C', "x")},
		{"c:/x", drives, drive('C', "x")},
		{"A:", drives, drive('A', ".")},
		{"a:sub/x", drives, drive('A', "sub/x")},
		{"b:x", drives, host("b:x")},
		{"-", unix, Location{Kind: Stdio}},
	} {
		got, err := ParseLocation(c.text, c.syntax)
		dirOnly := strings.HasSuffix(c.text, "/") && got.Inside()
		c.want.Text, c.want.DirOnly = c.text, dirOnly
		if err != nil || got != c.want {
			t.Errorf("%q is %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseLocationErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":             "means nothing",
		"::/x":         "-i",
		"c:/x":         "no drive C: write ./c:/x",
		"d.img:/\xff":  "UTF-8",
		"d.img:/a\x00": "UTF-8",
	} {
		if l, err := ParseLocation(text, LocationSyntax{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %+v, %v; want %q", text, l, err, want)
		}
	}
}

// FuzzParseLocation checks that a path in a volume is always one that a
// file system takes, and that what was written is found again in it.
func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{"d.img:/a/b", "nbd://h/e:/x", "fat:16:/d:/x", "::x", "a:/x", "-", "c:x", ":/", ":/:/", "fat::/"} {
		f.Add(s, true, true)
		f.Add(s, false, false)
	}
	f.Fuzz(func(t *testing.T, text string, withDrives, windows bool) {
		syntax := LocationSyntax{Image: "i", Windows: windows}
		if withDrives {
			syntax.Drives = letters("AC")
		}
		l, err := ParseLocation(text, syntax)
		if err != nil {
			return
		}
		switch {
		case l.Inside() && !fs.ValidPath(l.Path):
			t.Fatalf("%q is in the volume at %q", text, l.Path)
		case l.Kind == InImage && l.Image == "", l.Kind == InDrive && !withDrives, l.Kind == OnHost && l.Path != text, l.Text != text:
			t.Fatalf("%q is %+v", text, l)
		case l.Kind == InImage && l.Image != "i" && !strings.HasPrefix(text, l.Image+":/"):
			t.Fatalf("%q is in the image %q", text, l.Image)
		}
	})
}
