package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// metric is one family in the text format of Prometheus ("Exposition formats",
// version 0.0.4).
type metric struct {
	name, kind, help string
	value            func(*ExportStatus) (float64, bool) // false leaves the export out
}

// always is a metric that every export has.
func always(f func(*ExportStatus) float64) func(*ExportStatus) (float64, bool) {
	return func(e *ExportStatus) (float64, bool) { return f(e), true }
}

// written is a metric of exports that take writes into a directory.
func written(f func(*ExportStatus) float64) func(*ExportStatus) (float64, bool) {
	return func(e *ExportStatus) (float64, bool) {
		if e.Writing == nil {
			return 0, false
		}
		return f(e), true
	}
}

var metrics = []metric{
	{"fatkit_clients", "gauge", "Clients that are attached.", always(func(e *ExportStatus) float64 { return float64(e.Clients) })},
	{"fatkit_connections_total", "counter", "Clients that have attached.", always(func(e *ExportStatus) float64 { return float64(e.Traffic.Connections) })},
	{"fatkit_requests_total", "counter", "Requests of clients.", always(func(e *ExportStatus) float64 { return float64(e.Traffic.Requests) })},
	{"fatkit_request_errors_total", "counter", "Requests that were answered with an error.", always(func(e *ExportStatus) float64 { return float64(e.Traffic.Errors) })},
	{"fatkit_read_bytes_total", "counter", "Bytes that clients read.", always(func(e *ExportStatus) float64 { return float64(e.Traffic.BytesRead) })},
	{"fatkit_written_bytes_total", "counter", "Bytes that clients wrote.", always(func(e *ExportStatus) float64 { return float64(e.Traffic.BytesWritten) })},
	{"fatkit_disk_bytes", "gauge", "Size of the disk.", always(func(e *ExportStatus) float64 { return float64(e.Generation.SizeBytes) })},
	{"fatkit_generation", "gauge", "Number of the generation that is served.", always(func(e *ExportStatus) float64 { return float64(e.Generation.Number) })},
	{"fatkit_changed_host_files", "gauge", "Files of the host whose reads fail since they changed.", always(func(e *ExportStatus) float64 { return float64(e.Changed) })},

	{"fatkit_commits_total", "counter", "Commits of guest changes to the directory.", written(func(e *ExportStatus) float64 { return float64(e.Writing.Commits) })},
	{"fatkit_changed_files_total", "counter", "Files and directories that commits changed.", written(func(e *ExportStatus) float64 { return float64(e.Writing.ChangedFiles) })},
	{"fatkit_committed_bytes_total", "counter", "Bytes of contents that commits placed.", written(func(e *ExportStatus) float64 { return float64(e.Writing.CommittedBytes) })},
	{"fatkit_last_commit_timestamp_seconds", "gauge", "When the last commit ended.", func(e *ExportStatus) (float64, bool) {
		if e.Writing == nil || e.Writing.LastCommit.IsZero() {
			return 0, false
		}
		return float64(e.Writing.LastCommit.UnixMilli()) / 1000, true
	}},
	{"fatkit_last_commit_duration_seconds", "gauge", "How long the last commit took.", written(func(e *ExportStatus) float64 { return e.Writing.LastCommitTime.Seconds() })},
	{"fatkit_pending_objects", "gauge", "Files and directories whose changes wait.", written(func(e *ExportStatus) float64 { return float64(e.Writing.PendingCount) })},
	{"fatkit_conflicts", "gauge", "Files that guest and host both changed.", written(func(e *ExportStatus) float64 { return float64(e.Writing.ConflictCount) })},
	{"fatkit_suspended", "gauge", "1 if no change reaches the directory.", written(func(e *ExportStatus) float64 {
		if e.Writing.Suspended != "" {
			return 1
		}
		return 0
	})},
	{"fatkit_overlay_bytes", "gauge", "Size of what guests wrote.", written(func(e *ExportStatus) float64 { return float64(e.Writing.OverlayBytes) })},
	{"fatkit_overlay_limit_bytes", "gauge", "How large that may grow; 0 for no limit.", written(func(e *ExportStatus) float64 { return float64(e.Writing.OverlayLimitBytes) })},
	{"fatkit_trash_bytes", "gauge", "Size of what guests deleted and the trash holds.", written(func(e *ExportStatus) float64 { return float64(e.Writing.TrashBytes) })},
}

// WriteMetrics writes a status in the text format of Prometheus.
func WriteMetrics(w io.Writer, st *Status) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# HELP fatkit_start_time_seconds When the server was started.\n# TYPE fatkit_start_time_seconds gauge\nfatkit_start_time_seconds %d\n", st.Started.Unix())
	for _, m := range metrics {
		head := false
		for i := range st.Exports {
			v, ok := m.value(&st.Exports[i])
			if !ok {
				continue
			}
			if !head {
				fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
				head = true
			}
			fmt.Fprintf(&b, "%s{export=\"%s\",source=\"%s\"} %s\n", m.name, labelText(st.Exports[i].Name), labelText(st.Exports[i].Source), strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// labelText escapes the value of a label; bytes that are no UTF-8 are replaced.
func labelText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "�"))
}

// Limits of the metrics' HTTP server.
const (
	metricsTimeout   = 10 * time.Second
	maxMetricsHeader = 16 << 10
)

// ServeMetrics answers HTTP requests for /metrics on l, which it closes when ctx
// ends.
func (s *Server) ServeMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		st := s.Status()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := WriteMetrics(w, &st); err != nil {
			s.log.Debug("metrics were not taken", "remote", r.RemoteAddr, "error", err)
		}
	})
	hs := &http.Server{
		Handler: mux, ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout, IdleTimeout: 6 * metricsTimeout,
		MaxHeaderBytes: maxMetricsHeader,
	}
	stop := context.AfterFunc(ctx, func() { hs.Close() })
	defer stop()
	if err := hs.Serve(l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
