package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttwin"
	"github.com/fatkit/fatkit/test/tools"
)

// open opens the journal of a machine and returns its payloads.
func open(m *hosttwin.Machine) (*Journal, []string, error) {
	d, err := m.Root(".").OpenDir(".")
	if err != nil {
		return nil, nil, err
	}
	return openDir(d)
}

func openDir(d hostfs.Dir) (*Journal, []string, error) {
	var got []string
	j, err := Open(d, "journal", func(r Record) error {
		got = append(got, fmt.Sprintf("%d %s", r.Type, r.Payload))
		return nil
	})
	return j, got, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(j *Journal, typ Type, text string) error {
	_, err := j.Append(typ, []byte(text))
	return err
}

func TestAppendAndReplay(t *testing.T) {
	m := hosttwin.New()
	j, got, err := open(m)
	must(t, err)
	if len(got) != 0 {
		t.Errorf("a new journal has %q", got)
	}
	var want []string
	for i, text := range []string{"", "one", strings.Repeat("x", 300<<10), "after a large one"} {
		seq, err := j.Append(Type(i+1), []byte(text))
		must(t, err)
		if seq != uint64(i+1) {
			t.Errorf("record %d has number %d", i, seq)
		}
		want = append(want, fmt.Sprintf("%d %s", i+1, text))
	}
	must(t, j.Sync())
	must(t, j.Close())
	if err := add(j, 1, "late"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	j, got, err = open(m)
	must(t, err)
	if !equal(got, want) {
		t.Errorf("%.80q", got)
	}
	if seq, err := j.Append(1, nil); seq != 5 || err != nil {
		t.Errorf("the next number is %d, %v", seq, err)
	}
	if _, err := j.Append(0, nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("type 0: %v", err)
	}
}

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

func TestCompact(t *testing.T) {
	m := hosttwin.New()
	j, _, err := open(m)
	must(t, err)
	for range 100 {
		must(t, add(j, 1, "old"))
	}
	must(t, j.Sync())
	must(t, j.Compact([]Record{{Type: 7, Payload: []byte("all of it")}}))
	seq, err := j.Append(8, []byte("later"))
	must(t, err)
	if seq != 102 {
		t.Errorf("numbers go on with %d", seq)
	}
	must(t, j.Sync())
	if j.Size() > 1000 {
		t.Errorf("%d bytes after compaction", j.Size())
	}
	_, got, err := open(m)
	must(t, err)
	if !equal(got, []string{"7 all of it", "8 later"}) {
		t.Errorf("%q", got)
	}
}

// script works on a journal and returns what it did: every record that was
// begun, how many are durable for sure, and at which lengths the log was
// replaced as a whole.
type script struct {
	begun, durable []string
}

func (s *script) run(m *hosttwin.Machine) error {
	j, _, err := open(m)
	if err != nil {
		return err
	}
	for i := range 6 {
		for k := range 3 {
			text := strings.Repeat(string(rune('a'+i)), 400*k+10)
			s.begun = append(s.begun, "1 "+text)
			if err := add(j, 1, text); err != nil {
				return err
			}
		}
		if err := j.Sync(); err != nil {
			return err
		}
		s.durable = append([]string(nil), s.begun...)
		if i == 3 {
			// Whether a compaction that is cut took place does not show in what
			// the log says.
			var all []Record
			for _, text := range s.durable {
				all = append(all, Record{Type: 1, Payload: []byte(text[2:])})
			}
			if err := j.Compact(all); err != nil {
				return err
			}
		}
	}
	return j.Close()
}

// TestCut cuts the power at every operation: what was synced is there, and
// nothing but a prefix of what was appended; the journal works on.
func TestCut(t *testing.T) {
	m := hosttwin.New()
	m.CutAt(-1)
	must(t, new(script).run(m))
	n := m.Ops()
	seeds := uint64(12)
	if os.Getenv("FATKIT_LONG") != "" {
		seeds = 300
	}
	for k := range n + 1 {
		m := hosttwin.New()
		m.CutAt(k)
		s := new(script)
		s.run(m)
		for seed := range seeds {
			again := m.Reboot(seed)
			j, got, err := open(again)
			if err != nil {
				t.Fatalf("cut at %d (%s), seed %d: %v", k, m.Describe(k), seed, err)
			}
			if len(got) < len(s.durable) || len(got) > len(s.begun) || !equal(got, s.begun[:len(got)]) {
				t.Fatalf("cut at %d (%s), seed %d: %d records of %d durable and %d begun", k, m.Describe(k), seed, len(got), len(s.durable), len(s.begun))
			}
			must(t, add(j, 2, "more"))
			must(t, j.Sync())
			_, after, err := open(again.Reboot(0))
			must(t, err)
			if !equal(after, append(got, "2 more")) {
				t.Fatalf("cut at %d, seed %d: after it %d records", k, seed, len(after))
			}
		}
	}
}

// Room that was reserved is enough, and a full disk before that does no harm.
func TestFullDisk(t *testing.T) {
	m := hosttwin.New()
	m.Capacity = 600 << 10
	j, _, err := open(m)
	must(t, err)
	must(t, add(j, 1, "first"))
	must(t, j.Reserve(10, 400<<10))
	m.Capacity = 1 // from here on nothing grows
	must(t, add(j, 1, "0123456789"))
	must(t, add(j, 1, strings.Repeat("y", 400<<10)))
	must(t, j.Sync())
	if err := add(j, 1, strings.Repeat("z", 400<<10)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a record beyond the reserve: %v", err)
	}
	if err := j.Err(); err != nil {
		t.Errorf("a full disk ended the journal: %v", err)
	}
	if err := j.Reserve(400 << 10); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a reserve on a full disk: %v", err)
	}
	m.Capacity = 0
	must(t, add(j, 1, "room again"))
	must(t, j.Sync())
	_, got, err := open(m)
	must(t, err)
	if len(got) != 4 || got[3] != "1 room again" {
		t.Errorf("%d records", len(got))
	}
}

// Damage in the middle is told from a torn end.
func TestDamage(t *testing.T) {
	m := hosttwin.New()
	j, _, err := open(m)
	must(t, err)
	must(t, add(j, 1, "first"))
	second := j.Size()
	must(t, add(j, 1, "second"))
	must(t, j.Sync())
	must(t, add(j, 1, "third"))
	third := j.Size()
	must(t, j.Sync())
	damage := func(off int64) {
		t.Helper()
		must(t, hostfs.InDir(m.Foreign("."), "journal", func(d hostfs.Dir, name string) error {
			f, err := d.OpenFile(name)
			must(t, err)
			defer f.Close()
			_, err = f.WriteAt([]byte{0xEE}, off)
			return err
		}))
	}
	damage(third - 8)
	_, got, err := open(m)
	must(t, err)
	if !equal(got, []string{"1 first", "1 second"}) {
		t.Errorf("a torn end left %q", got)
	}
	must(t, j.Close())
	j, _, err = open(m)
	must(t, err)
	must(t, add(j, 1, "third again"))
	must(t, j.Sync())
	damage(second + 33)
	if _, _, err := open(m); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("a durable record that is damaged: %v", err)
	}
	damage(5)
	if _, _, err := open(m); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("a damaged header: %v", err)
	}
}

// An error of the medium ends a journal.
func TestMediumFails(t *testing.T) {
	m := hosttwin.New()
	j, _, err := open(m)
	must(t, err)
	must(t, add(j, 1, "kept"))
	must(t, j.Sync())
	m.FailAt(1, syscall.EIO, false)
	must(t, add(j, 1, "not synced"))
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	for what, err := range map[string]error{"append": add(j, 1, "x"), "sync": j.Sync(), "reserve": j.Reserve(1), "compact": j.Compact(nil), "err": j.Err()} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s after that: %v", what, err)
		}
	}
}

// A journal that an error stopped says what it holds when it is reopened, and
// all of that is durable, whatever operation failed, also of the reopening.
func TestReopen(t *testing.T) {
	for k := range 8 {
		for j := range 12 {
			m := hosttwin.New()
			log, _, err := open(m)
			must(t, err)
			want, lasts := []string{}, uint64(0)
			m.FailAt(k, syscall.EIO, false)
			for i := range 3 {
				if err := add(log, 1, fmt.Sprint(i)); err == nil && log.Sync() == nil {
					want, lasts = append(want, fmt.Sprintf("1 %d", i)), uint64(i+1)
				}
			}
			m.FailAt(j, syscall.EIO, false)
			last, err := log.Reopen()
			m.FailAt(-1, nil, false)
			if err != nil {
				last, err = log.Reopen()
				must(t, err)
			}
			if last < lasts || log.Err() != nil {
				t.Fatalf("failures at %d and %d: %d records of %d, %v", k, j, last, lasts, log.Err())
			}
			must(t, add(log, 1, "more"))
			must(t, log.Sync())
			_, got, err := open(m.Reboot(0))
			must(t, err)
			if len(got) != int(last)+1 || len(got) <= len(want) || !equal(got[:len(want)], want) {
				t.Fatalf("failures at %d and %d: %q, of %q", k, j, got, want)
			}
		}
	}
}

// On the real host.
func TestHost(t *testing.T) {
	r, err := hostfs.OpenRoot(t.TempDir())
	must(t, err)
	defer r.Close()
	d, err := r.OpenDir(".")
	if errors.Is(err, errors.ErrUnsupported) {
		tools.Missing(t, err.Error())
	}
	must(t, err)
	defer d.Close()
	j, _, err := openDir(d)
	must(t, err)
	must(t, add(j, 1, "one"))
	must(t, j.Sync())
	must(t, j.Compact([]Record{{Type: 2, Payload: []byte("two")}}))
	must(t, j.Close())
	j, got, err := openDir(d)
	must(t, err)
	if !equal(got, []string{"2 two"}) {
		t.Errorf("%q", got)
	}
	must(t, j.Close())
}

// FuzzScan feeds the decoder arbitrary files: it returns records that encode to
// what was read.
func FuzzScan(f *testing.F) {
	head := header{salt: 3, first: 1}
	good := Record{Seq: 1, Type: 1, Payload: []byte("payload")}.encode(head.salt)
	good = append(good, Record{Seq: 2, Type: 2, durable: 1}.encode(head.salt)...)
	f.Add(head.encode(), good)
	f.Add(head.encode(), append([]byte{1}, good...))
	f.Add([]byte(magic), []byte{})
	f.Fuzz(func(t *testing.T, first, body []byte) {
		h, err := decodeHeader(first)
		if err != nil {
			return
		}
		if !bytes.Equal(h.encode()[:24], first[:24]) {
			t.Error("the header encodes to something else")
		}
		var again []byte
		end, _, err := scan(body, h, func(r Record) error {
			again = append(again, r.encode(h.salt)...)
			return nil
		})
		if end > len(body) || !bytes.Equal(again, body[:end]) {
			t.Errorf("%d bytes were read as %d", end, len(again))
		}
		if err != nil && !errors.Is(err, diskerr.ErrCorrupt) {
			t.Error(err)
		}
	})
}
