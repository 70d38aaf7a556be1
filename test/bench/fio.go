package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fatkit/fatkit/test/product"
)

// fioJob is what fio's NBD engine asks of a server.
type fioJob struct {
	rw         string // fio's word: randread, randwrite, read or write
	blockBytes int64
	depth      int   // requests in flight on each connection
	conns      int   // connections
	spanBytes  int64 // the part of the disk that is used
}

// sequential tells whether bandwidth is what matters.
func (j fioJob) sequential() bool { return !strings.HasPrefix(j.rw, "rand") }

// name says what the job does.
func (j fioJob) name() string {
	name := fmt.Sprintf("fio %s %dk depth %d", j.rw, j.blockBytes>>10, j.depth)
	if j.conns > 1 {
		name += fmt.Sprintf(" x %d", j.conns)
	}
	return name
}

// unit is that of the value that run returns.
func (j fioJob) unit() string {
	if j.sequential() {
		return "MB/s"
	}
	return "IOPS"
}

// run runs fio for a fixed time and returns requests or megabytes in a second,
// with the server's CPU time for each request.
func (j fioJob) run(b *bench, s *product.Server) (sample, error) {
	before, err := cpuTime(s.PID)
	if err != nil {
		return sample{}, err
	}
	_, out, err := command("fio", "--name=bench", "--ioengine=nbd", "--uri="+s.URI, "--rw="+j.rw,
		fmt.Sprintf("--bs=%d", j.blockBytes), fmt.Sprintf("--iodepth=%d", j.depth),
		fmt.Sprintf("--numjobs=%d", j.conns), "--group_reporting", fmt.Sprintf("--size=%d", j.spanBytes),
		"--time_based", fmt.Sprintf("--runtime=%dms", b.runtime/time.Millisecond), "--norandommap", "--output-format=json")
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime(s.PID)
	if err != nil {
		return sample{}, err
	}
	iops, requests, err := fioReport(out)
	if err != nil {
		return sample{}, err
	}
	if j.sequential() {
		iops *= float64(j.blockBytes) / 1e6
	}
	return sample{iops, map[string]float64{
		"µs CPU/request": float64((after - before).Microseconds()) / float64(requests),
	}}, nil
}

// fioReport takes the rate and the number of requests from what fio prints.
func fioReport(out string) (iops float64, requests int64, err error) {
	type direction struct {
		IOPS  float64 `json:"iops"`
		Total int64   `json:"total_ios"`
	}
	var report struct {
		Jobs []struct {
			Error       int
			Read, Write direction
		}
	}
	// fio says some things before the report.
	if err := json.Unmarshal([]byte(out[max(0, strings.IndexByte(out, '{')):]), &report); err != nil {
		return 0, 0, fmt.Errorf("fio: %w: %s", err, out)
	}
	if len(report.Jobs) != 1 || report.Jobs[0].Error != 0 {
		return 0, 0, fmt.Errorf("fio: %s", out)
	}
	j := report.Jobs[0]
	if requests = j.Read.Total + j.Write.Total; requests == 0 {
		return 0, 0, fmt.Errorf("fio has done nothing: %s", out)
	}
	return j.Read.IOPS + j.Write.IOPS, requests, nil
}
