package stack

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/mbr"
	"github.com/fatkit/fatkit/nbd"
)

// writeImage makes an image file that begins with head.
func writeImage(t testing.TB, name string, sizeBytes int64, head string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(head), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, sizeBytes); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every stack of devices that an image can become keeps the contract of one.
func TestImageDevices(t *testing.T) {
	table := string(mbrSector(mbr.Partition{Type: mbr.TypeFAT16, FirstLBA: 8, Sectors: 128}))
	for name, o := range map[string]ImageOptions{
		"read-only":                    {},
		"writable":                     {Writable: true},
		"partition":                    {Writable: true, Partition: 1},
		"offset":                       {Writable: true, OffsetBytes: 4096},
		"copy-on-write":                {CopyOnWrite: true},
		"copy-on-write of a partition": {CopyOnWrite: true, Partition: 1},
	} {
		t.Run(name, func(t *testing.T) {
			path := ""
			open := func(t testing.TB) block.Device {
				dev, _, err := OpenImage(context.Background(), path, o)
				if err != nil {
					t.Fatal(err)
				}
				return dev
			}
			suite := blocktest.Options{ReadOnly: !o.Writable && !o.CopyOnWrite}
			if o.Writable {
				suite.Reopen = open
			}
			blocktest.Run(t, func(t testing.TB) block.Device {
				path = writeImage(t, "disk.img", 256<<10, table)
				return open(t)
			}, suite)
		})
	}
}

// The format is what the caller or the name says, never what is in the image.
func TestImageFormat(t *testing.T) {
	const qcow2, vmdk = "QFI\xfb", "KDMV"
	for _, c := range []struct {
		name, head, format string
		want               string // part of the error; "" for none
	}{
		{"disk.img", "", "", ""},
		{"disk", "some boot code", "", ""},
		{"disk.img", qcow2, "raw", ""},
		{"disk.img", vmdk, "raw", ""},
		{"disk.qcow2", "", "raw", ""},
		{"disk.img", qcow2, "", "say --format qcow2, or --format raw"},
		{"disk.img", vmdk, "", "begins like a VMDK image"},
		{"disk.img", strings.Repeat("\x00", 64) + "\x7f\x10\xda\xbe", "", "begins like a VDI image"},
		{"disk.QCOW2", "", "", "the name says qcow2"},
		{"disk.vmdk", "", "", "say --format raw"},
		{"disk.vmdk", vmdk, "", "VMDK: unsupported"},
		{"disk.img", "", "qcow2", "qcow2"},
		{"disk.img", "", "zip", "neither raw nor qcow2"},
	} {
		path := writeImage(t, c.name, 64<<10, c.head)
		dev, facts, err := OpenImage(context.Background(), path, ImageOptions{Format: c.format})
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %q as %q: %v, want %q", c.name, c.head, c.format, err, c.want)
			}
		} else if err != nil || facts.Format != FormatRaw || dev.Size() != 64<<10 {
			t.Errorf("%s %q as %q: %+v, %v", c.name, c.head, c.format, facts, err)
		}
		if dev != nil {
			dev.Close()
		}
		// Whatever failed has given the image back.
		again, err := file.Open(path, file.Options{Lock: true})
		if err != nil {
			t.Fatalf("%s %q as %q: left open: %v", c.name, c.head, c.format, err)
		}
		again.Close()
	}
}

// Images shorter than any magic are raw.
func TestTinyImages(t *testing.T) {
	for size := range int64(70) {
		dev, _, err := OpenImage(context.Background(), writeImage(t, "x", size, ""), ImageOptions{})
		if err != nil || dev.Size() != size {
			t.Fatalf("%d bytes: %v", size, err)
		}
		dev.Close()
	}
}

// What is served by others is read-only unless asked for, and never more than
// they allow.
func TestImageURI(t *testing.T) {
	path := writeImage(t, "disk", 64<<10, "")
	base, err := file.Open(path, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	s := nbd.NewServer(nbd.ServerOptions{})
	defer s.Shutdown(context.Background())
	for name, readOnly := range map[string]bool{"free": false, "fixed": true} {
		if err := s.AddExport(nbd.Export{Name: name, Device: base, ReadOnly: readOnly}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddExport(nbd.Export{Name: "few", Device: base, MaxConns: 2}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(context.Background(), l)
	open := func(export string, o ImageOptions) (block.Device, error) {
		dev, _, err := OpenImage(context.Background(), nbd.URI(l.Addr(), export, false), o)
		return dev, err
	}
	for _, c := range []struct {
		export string
		o      ImageOptions
		write  error
	}{
		{"free", ImageOptions{}, diskerr.ErrReadOnly},
		{"free", ImageOptions{Writable: true}, nil},
		{"fixed", ImageOptions{CopyOnWrite: true}, nil},
		{"few", ImageOptions{Writable: true, Connections: 8}, nil},
	} {
		dev, err := open(c.export, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dev.WriteAt([]byte("x"), 7); !errors.Is(err, c.write) {
			t.Errorf("%s %+v: write: %v, want %v", c.export, c.o, err, c.write)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := open("fixed", ImageOptions{Writable: true}); !errors.Is(err, diskerr.ErrReadOnly) {
		t.Errorf("writing to a read-only export: %v", err)
	}
	if dev, err := open("none", ImageOptions{}); err == nil || dev != nil {
		t.Errorf("an export that is not there: %v, %v", dev, err)
	}
}

func TestImageErrors(t *testing.T) {
	ctx := context.Background()
	path := writeImage(t, "disk", 64<<10, "")
	var option *OptionError
	for _, o := range []ImageOptions{
		{Partition: -1}, {OffsetBytes: -1}, {OffsetBytes: 64 << 10}, {OffsetBytes: 1 << 62}, {Partition: 1, OffsetBytes: 1},
		{SectorBytes: 512}, {SectorBytes: 500, Partition: 1}, {Format: "vdi"},
	} {
		if _, _, err := OpenImage(ctx, path, o); !errors.As(err, &option) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, _, err := OpenImage(ctx, filepath.Join(path, "x"), ImageOptions{}); err == nil {
		t.Error("a path through a file was opened")
	}
	if _, _, err := OpenImage(ctx, t.TempDir(), ImageOptions{}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
	if _, _, err := OpenImage(ctx, path+"-missing", ImageOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// Readers share an image, a writer has it alone.
func TestImageLocks(t *testing.T) {
	ctx := context.Background()
	path := writeImage(t, "disk", 64<<10, "")
	one, _, err := OpenImage(ctx, path, ImageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := OpenImage(ctx, path, ImageOptions{CopyOnWrite: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenImage(ctx, path, ImageOptions{Writable: true}); !locksWork() && err != nil || locksWork() && !errors.Is(err, file.ErrLocked) {
		t.Errorf("a writer beside readers: %v", err)
	}
	one.Close()
	two.Close()
	writer, _, err := OpenImage(ctx, path, ImageOptions{Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()
}

func TestKindOf(t *testing.T) {
	dir := t.TempDir()
	path := writeImage(t, "disk", 1, "")
	for name, want := range map[string]Kind{
		dir: KindDirectory, path: KindImage, "fat:x": KindDirectory, "nbd://host/x": KindImage,
		"nbds+unix:///?socket=/x": KindImage, os.DevNull: KindImage,
	} {
		if got, err := KindOf(name); err != nil || got != want {
			t.Errorf("KindOf(%q) = %v, %v", name, got, err)
		}
	}
	for _, name := range []string{path + "-missing", "http://host/x", "NBD://x"} {
		if got, err := KindOf(name); err == nil {
			t.Errorf("KindOf(%q) = %v", name, got)
		}
	}
	for name, want := range map[string]bool{"a://b": true, "://b": false, "1a://": false, "./a://b": false, "C:\\x": false, "nbd:": false} {
		if IsURI(name) != want {
			t.Errorf("IsURI(%q) = %v", name, !want)
		}
	}
}

func TestImageNames(t *testing.T) {
	for name, want := range map[string]string{
		"/some/disk.img": "disk.img", "nbd://host/export": "export", "nbd+unix:///?socket=/s": "disk",
		"nbd+unix:///a%20b?socket=/s": "a b", "nbd://host": "disk",
	} {
		i, err := NewImage(name, ImageOptions{})
		if err != nil || i.BaseName() != want {
			t.Errorf("%s is called %q, %v", name, i.BaseName(), err)
		}
	}
}
