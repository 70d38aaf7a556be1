package writeback

import (
	"bytes"
	"context"
	"encoding/gob"

	"github.com/fatkit/fatkit/writeback/diff"
)

// The next session goes on with what this one knew: which sectors no commit has
// taken yet. Without it all of the overlay would be new to it, and it could not
// tell a file that only the host has changed from one that both have: it would
// write the guest's version, committed long ago, beside the host's, and make
// again what the host has removed. A session that ends in order records it as its
// last word; of one that was killed the last comparison is known, and checksums
// tell what was written since (seen).

// recordClose records what the Differ remembers, unless the guest has written
// something that it has not seen. The caller holds mu.
func (s *Session) recordClose() error {
	if s.stuck != nil || s.disk.Activity().Writes != s.loop.looked.Load() {
		return nil
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s.differ.Memory()); err != nil {
		return err
	}
	return s.append(recordClosed, b.Bytes())
}

// resume takes over what the last session recorded at its end. From then on the
// record holds no more, which is durable before the guest can write.
func (s *Session) resume(ctx context.Context) error {
	if s.memory == nil {
		if s.seen.memory != nil {
			s.differ.Remember(*s.seen.memory)
			s.recheck = true
		}
		return nil
	}
	if err := s.append(recordOpened, nil); err != nil {
		return err
	}
	e, err := s.disk.Freeze(ctx) // all that is in the overlay was seen
	if err != nil {
		return err
	}
	s.differ.Remember(*s.memory)
	s.memory = nil
	return e.Commit()
}

func decodeMemory(p []byte) (*diff.Memory, error) {
	m := &diff.Memory{}
	if err := gob.NewDecoder(bytes.NewReader(p)).Decode(m); err != nil {
		return nil, err
	}
	return m, nil
}
