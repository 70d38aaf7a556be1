package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/stack"
)

// TestWriteMetrics compares the text for a server with two exports, one of which
// takes writes.
func TestWriteMetrics(t *testing.T) {
	st := Status{Started: time.Unix(1_700_000_000, 0), Exports: []ExportStatus{
		{Name: "a\"b\n", Source: "/x\\y\xff", Clients: 2, Traffic: Traffic{BytesRead: 1 << 40}},
		{Name: "w", Source: "/w", Writing: &stack.WriteStatus{Commits: 3, Suspended: "alarm", LastCommitTime: 1500 * time.Millisecond}},
	}}
	var b strings.Builder
	if err := WriteMetrics(&b, &st); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"fatkit_start_time_seconds 1700000000\n",
		"# TYPE fatkit_clients gauge\nfatkit_clients{export=\"a\\\"b\\n\",source=\"/x\\\\y�\"} 2\nfatkit_clients{export=\"w\",source=\"/w\"} 0\n",
		"fatkit_read_bytes_total{export=\"a\\\"b\\n\",source=\"/x\\\\y�\"} 1099511627776\n",
		"# TYPE fatkit_commits_total counter\nfatkit_commits_total{export=\"w\",source=\"/w\"} 3\n",
		"fatkit_suspended{export=\"w\",source=\"/w\"} 1\n",
		"fatkit_last_commit_duration_seconds{export=\"w\",source=\"/w\"} 1.5\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("%q is not in\n%s", line, &b)
		}
	}
	if strings.Contains(b.String(), "fatkit_last_commit_timestamp_seconds{") {
		t.Error("a commit that was not has a time")
	}
}

func TestServeMetrics(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ServeMetrics(ctx, l) }()
	for path, want := range map[string]int{"/metrics": 200, "/": 404} {
		r, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != want || want == 200 && !strings.HasPrefix(string(body), "# HELP fatkit_") {
			t.Errorf("%s: %d %q", path, r.StatusCode, body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
