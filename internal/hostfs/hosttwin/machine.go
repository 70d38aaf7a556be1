package hosttwin

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"sync"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// ErrCut is what every operation fails with after the power was cut.
var ErrCut = errors.New("hosttwin: the power was cut")

// Machine is a host with one file system. Its methods may be called
// concurrently, but Before's function may call those of Foreign only.
type Machine struct {
	// FreshInodes, set before the first use, gives no inode number out twice.
	FreshInodes bool
	// Lacks are features that the machine does not have.
	Lacks hostfs.Features
	// Capacity is how many bytes of contents there is room for; 0 is no limit.
	Capacity int64

	mu      sync.Mutex
	live    *state
	durable *state   // at the time of the first of changes
	changes []change // since then
	synced  int      // how many of them are durable as a prefix
	dev     uint64

	ops    int // counted operations
	cutAt  int
	failAt int
	fail   error
	sticky bool
	before func(k int, op string)
	log    []string
	down   bool
}

// fsid is that of every machine.
const fsid = 0xfa7

// never is an operation that does not come.
const never = -1

// New returns a machine with an empty file system.
func New() *Machine { return boot(newState(), 1) }

func boot(s *state, dev uint64) *Machine {
	return &Machine{live: s, durable: s.clone(), dev: dev, cutAt: never, failAt: never}
}

// Root opens a directory, whose operations are counted.
func (m *Machine) Root(path string) hostfs.Writable { return &root{m: m, path: path, counted: true} }

// Foreign opens a directory as another program of the host.
func (m *Machine) Foreign(path string) hostfs.Writable { return &root{m: m, path: path} }

// Settle makes everything durable that was done so far.
func (m *Machine) Settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
}

func (m *Machine) settle() {
	m.durable, m.changes, m.synced = m.live.clone(), nil, 0
}

// CutAt cuts the power at operation k, counted from 0 and from now on.
// The operation does not happen.
func (m *Machine) CutAt(k int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutAt, m.ops, m.log = k, 0, nil
}

// FailAt makes operation k fail with err and, if sticky, every later one that
// changes something. A negative k ends that.
func (m *Machine) FailAt(k int, err error, sticky bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failAt, m.fail, m.sticky, m.ops, m.log = k, err, sticky, 0, nil
}

// Before calls do before each counted operation.
func (m *Machine) Before(do func(k int, op string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.ops, m.log = do, 0, nil
}

// Ops returns how many operations were counted since the last of the calls
// above.
func (m *Machine) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Describe says what operation k was.
func (m *Machine) Describe(k int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k >= 0 && k < len(m.log) {
		return m.log[k]
	}
	return "the end"
}

// Kill returns the machine as a new process finds it after the old one died.
func (m *Machine) Kill() *Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := boot(m.live.clone(), m.dev)
	m.inherit(next)
	next.durable, next.synced = m.durable.clone(), m.synced
	next.changes = append([]change(nil), m.changes...)
	return next
}

func (m *Machine) inherit(next *Machine) {
	next.FreshInodes, next.Lacks, next.Capacity = m.FreshInodes, m.Lacks, m.Capacity
}

// Reboot returns a machine with what may be left after a power cut. Seed 0 loses
// all that may be lost, seed 1 nothing.
func (m *Machine) Reboot(seed uint64) *Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	rng := rand.New(rand.NewPCG(seed, uint64(len(m.changes))))
	next := boot(m.survivors(seed, rng), m.dev+1)
	m.inherit(next)
	return next
}

// enter begins an operation. It returns with mu held unless it fails.
func (m *Machine) enter(counted, changes bool, op, name string) error {
	m.mu.Lock()
	if !counted {
		if m.down {
			m.mu.Unlock()
			return &fs.PathError{Op: op, Path: name, Err: ErrCut}
		}
		return nil
	}
	k := m.ops
	if do := m.before; do != nil && !m.down {
		m.mu.Unlock()
		do(k, op+" "+name)
		m.mu.Lock()
	}
	m.ops++
	m.log = append(m.log, op+" "+name)
	if k == m.cutAt {
		m.down = true
	}
	err := error(nil)
	switch {
	case m.down:
		err = ErrCut
	case m.failAt >= 0 && (k == m.failAt || m.sticky && k > m.failAt && changes):
		err = m.fail
	default:
		return nil
	}
	m.mu.Unlock()
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// find returns the inode of a path below the directory ino.
func (s *state) find(p string) (*inode, error) {
	n := s.inodes[rootID]
	for part := range strings.SplitSeq(path.Clean(p), "/") {
		if part == "." || part == "" {
			continue
		}
		if !n.mode.IsDir() {
			return nil, errNotDir
		}
		child := s.inodes[n.entries[part]]
		if child == nil {
			return nil, fs.ErrNotExist
		}
		n = child
	}
	return n, nil
}

// errNotDir is what a file fails with where a directory must be.
var errNotDir = errors.New("not a directory")
