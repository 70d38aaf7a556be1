package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/stack"
)

// imageServer returns a server with an image of size bytes as its export "i".
func imageServer(t *testing.T, o stack.ImageOptions) (*Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o666); err != nil {
		t.Fatal(err)
	}
	image, err := stack.NewImage(path, o)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{})
	policy := RefreshPolicy{OnDisconnect: true, OnBootRead: true}
	if err := s.AddExport(context.Background(), ExportOptions{Name: "i", Source: image, Refresh: policy}); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// An image has one generation, whatever policy and requests say.
func TestImageHasOneGeneration(t *testing.T) {
	s, path := imageServer(t, stack.ImageOptions{Writable: true})
	e := s.exports[0]
	for range 3 {
		e.attach(context.Background())
		if _, err := e.disk.ReadAt(make([]byte, 512), 32<<10); err != nil {
			t.Fatal(err)
		}
		for _, force := range []bool{false, true} {
			r := s.Handle(context.Background(), Request{Command: CommandRefresh, Force: force})
			if r.Error != "" || len(r.Refresh) != 1 || r.Refresh[0] != (RefreshResult{Export: "i", Generation: 1}) {
				t.Errorf("refresh: %+v", r)
			}
		}
		if _, err := e.disk.ReadAt(make([]byte, 512), 0); err != nil {
			t.Fatal(err)
		}
		e.detach(context.Background(), true)
	}
	st := s.Status().Exports[0]
	if g := st.Generation; g.Number != 1 || g.Image == nil || g.Image.Format != "raw" || g.SizeBytes != 64<<10 || st.ReadOnly || st.Refresh != "never" || st.OnBootRead {
		t.Errorf("status: %+v", st)
	}
	if _, err := e.disk.WriteAt([]byte("kept"), 100); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err := os.ReadFile(path); err != nil || string(p[100:104]) != "kept" {
		t.Errorf("after closing: %q, %v", p[100:104], err)
	}
}

// Without leave to write, nobody does.
func TestImageReadOnly(t *testing.T) {
	s, _ := imageServer(t, stack.ImageOptions{})
	defer s.Close()
	if !s.Status().Exports[0].ReadOnly {
		t.Error("the status does not say read-only")
	}
	if _, err := s.exports[0].disk.WriteAt([]byte("x"), 0); !errors.Is(err, diskerr.ErrReadOnly) {
		t.Errorf("write: %v", err)
	}
}
