package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/journal"
)

// Config says where an Executor works.
type Config struct {
	// Tree is the shared directory, Aside the folder for what lies aside of it, on
	// the same file system.
	Tree, Aside hostfs.Writable
	// Features are what [hostfs.Probe] found out in Aside.
	Features hostfs.Features
	// Journal takes the records, under these types.
	Journal            *journal.Journal
	Intent, Completion journal.Type
	// Generation is part of the names in the folder of conflicts, which outlives
	// it.
	Generation uint64
	// Open says that the journal holds an intent without its completion. Then
	// Recover comes first.
	Open bool
}

// Executor carries out plans, one at a time. It is not for concurrent use.
type Executor struct {
	cfg   Config
	tree  hostfs.Writable
	aside map[DirID]hostfs.Dir
	made  uint64 // how many names were given in the stage folder
	open  bool   // an intent has no completion yet

	// What the journal may hold of the open plan, by sequence number.
	intent, completion uint64
	completed          Results
}

// ErrOpen says that a plan was begun and not completed, so what is staged for it
// must stay. [Executor.Recover] is called with it until that succeeds.
var ErrOpen = errors.New("the commit was begun and must be recovered")

// ErrHost says that a host cannot be written to safely.
var ErrHost = errors.New("this file system cannot rename without replacing, so the directory cannot be shared for writing")

// New opens the folders aside of the tree, and makes them if need be.
func New(cfg Config) (*Executor, error) {
	if !cfg.Features.NoReplace {
		return nil, fmt.Errorf("%s: %w", cfg.Tree.Name(), ErrHost)
	}
	x := &Executor{cfg: cfg, tree: cfg.Tree, aside: map[DirID]hostfs.Dir{}, open: cfg.Open}
	if err := x.openAside(); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func (x *Executor) openAside() error {
	root, err := x.cfg.Aside.OpenDir(".")
	if err != nil {
		return err
	}
	defer root.Close()
	for id, name := range asideNames {
		if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if x.aside[id], err = root.OpenDir(name); err != nil {
			delete(x.aside, id)
			return err
		}
	}
	return root.Sync()
}

// Close closes the folders.
func (x *Executor) Close() error {
	var errs []error
	for _, d := range x.aside {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// Aside returns the open folder, which the Executor owns.
func (x *Executor) Aside(id DirID) hostfs.Dir { return x.aside[id] }

// Execute carries out a plan whose staged files are synced. payload is asked
// for what to record beside the results.
//
// An error that matches ErrOpen came after the intent was recorded: what was
// done stays, and Recover completes it. Any other error means that nothing was
// done. That single steps could not be carried out is no error but in
// the results; after ctx is done remaining patches and attributes wait.
func (x *Executor) Execute(ctx context.Context, p *Plan, payload func(Results) []byte) (Results, error) {
	if x.open {
		return Results{}, ErrOpen
	}
	if err := p.check(); err != nil {
		return Results{}, err
	}
	if err := ctx.Err(); err != nil {
		return Results{}, err
	}
	intent := p.Encode()
	if err := x.cfg.Journal.Reserve(len(intent), p.resultBytes()+p.PayloadBytes); err != nil {
		return Results{}, err
	}
	if err := x.log(intent); err != nil {
		return Results{}, err
	}
	return x.finish(x.newRun(ctx, p), payload)
}

// log records an intent.
func (x *Executor) log(record []byte) (err error) {
	x.completion = 0
	x.intent, err = x.cfg.Journal.Append(x.cfg.Intent, record)
	x.open = err == nil || x.cfg.Journal.Err() != nil // a part of it may be there
	if err == nil {
		err = x.cfg.Journal.Sync()
	}
	if err != nil && x.open {
		err = errors.Join(ErrOpen, err)
	}
	return err
}

// Source gives the new contents of a patched file at recovery, by its tag: those
// that the guest sees now, of the whole file. Nil means that they are not known.
type Source func(tag uint64) io.ReaderAt

// Recover completes a plan whose intent was recorded and not completed. It may
// be called again if it fails. It reopens a journal that has failed.
func (x *Executor) Recover(ctx context.Context, p *Plan, source Source, payload func(Results) []byte) (Results, error) {
	if err := p.check(); err != nil {
		return Results{}, err
	}
	x.open = true
	if x.cfg.Journal.Err() != nil {
		done, err := x.reopen(p)
		if err != nil {
			return Results{}, errors.Join(ErrOpen, err)
		}
		if done {
			return x.already(payload), nil
		}
	}
	r := x.newRun(ctx, p)
	r.recovering, r.source = true, source
	return x.finish(r, payload)
}

// reopen makes the journal usable again and sees to it that it holds the
// intent. done says that it holds the completion, too.
func (x *Executor) reopen(p *Plan) (done bool, err error) {
	last, err := x.cfg.Journal.Reopen()
	switch {
	case err != nil:
		return false, err
	case x.completion != 0 && last >= x.completion:
		return true, nil
	case last < x.intent:
		return false, x.log(p.Encode())
	}
	return false, nil
}

// already returns the results of a run whose record turned out to be there.
func (x *Executor) already(payload func(Results) []byte) Results {
	x.open = false
	if payload != nil {
		payload(x.completed)
	}
	return x.completed
}

// finish carries out the steps of r and records that.
func (x *Executor) finish(r *run, payload func(Results) []byte) (Results, error) {
	defer r.dirs.close()
	r.steps()
	if r.unfinished == nil {
		r.unfinished = r.sync()
	}
	if r.unfinished != nil {
		return r.results, errors.Join(ErrOpen, r.unfinished)
	}
	var note []byte
	if payload != nil {
		note = payload(r.results)
	}
	x.completed = r.results
	var err error
	x.completion, err = x.cfg.Journal.Append(x.cfg.Completion, r.results.Encode(note))
	if err == nil {
		err = x.cfg.Journal.Sync()
	}
	if err != nil {
		return r.results, errors.Join(ErrOpen, err)
	}
	x.open = false
	return r.results, nil
}

// run is one pass over a plan.
type run struct {
	x       *Executor
	ctx     context.Context
	plan    *Plan
	dirs    *dirTable
	results Results

	recovering bool
	source     Source

	dirIDs     map[objectKey]DirID        // the directories of the plan
	missing    map[DirID]bool             // those that could not be brought into the tree
	besides    map[objectKey]Place        // what moves brought to another place than the plan says
	held       map[objectKey]bool         // what could not be moved to where the steps after that expect it
	later      map[objectKey][]int        // moves by object, in order
	displacers map[objectKey]int          // moves by what they displace
	patched    map[uint64]hostfs.Identity // by tag, what patches made
	patches    map[uint64]bool            // tags of patches
	touched    map[DirID]bool             // directories to sync
	nodes      []Place                    // inodes with new attributes to sync

	// unfinished is why a step stopped half-way, with something of the host's out
	// of place. No step follows it, and no completion.
	unfinished error
}

// objectKey finds an inode among those of a plan.
type objectKey struct {
	ino   uint64
	btime int64
}

func keyOf(id hostfs.Identity) objectKey { return objectKey{id.Ino, id.Btime} }

func (x *Executor) newRun(ctx context.Context, p *Plan) *run {
	r := &run{
		x: x, ctx: ctx, plan: p, dirs: x.newDirTable(p.Dirs),
		results: Results{Epoch: p.Epoch},
		dirIDs:  map[objectKey]DirID{}, missing: map[DirID]bool{}, besides: map[objectKey]Place{}, held: map[objectKey]bool{},
		later: map[objectKey][]int{}, displacers: map[objectKey]int{}, patched: map[uint64]hostfs.Identity{}, touched: map[DirID]bool{}, patches: map[uint64]bool{},
	}
	for i := range p.Patches {
		r.patches[p.Patches[i].Tag] = true
	}
	for i := range p.Dirs {
		r.dirIDs[keyOf(p.Dirs[i].ID)] = DirID(i)
	}
	for i := range p.Moves {
		k := keyOf(p.Moves[i].Object)
		r.later[k] = append(r.later[k], i)
		if d := p.Moves[i].Displaces; d != nil {
			r.displacers[keyOf(*d)] = i
		}
	}
	return r
}

// steps carries out everything that is possible.
func (r *run) steps() {
	p := r.plan
	for i := range p.Moves { // all of them: half a cycle of names would be worse
		m := &p.Moves[i]
		if m.Displaces != nil {
			r.follow(&m.To, *m.Displaces)
		}
		r.step(OpMove, m.Tag, func() Result {
			if m.Displaces != nil && r.held[keyOf(*m.Displaces)] {
				return waiting(errHeld)
			}
			return r.note(i, r.move(i))
		})
	}
	for i := range p.Patches {
		r.follow(&p.Patches[i].At, p.Patches[i].ID)
		r.step(OpPatch, p.Patches[i].Tag, func() Result {
			if r.held[keyOf(p.Patches[i].ID)] {
				return waiting(errHeld)
			}
			return r.patch(&p.Patches[i])
		})
	}
	for i := range p.Rmdirs {
		r.step(OpRmdir, p.Rmdirs[i].Tag, func() Result { return r.rmdir(&p.Rmdirs[i]) })
	}
	for i := range p.Attrs {
		r.follow(&p.Attrs[i].At, p.Attrs[i].ID)
		r.step(OpAttr, p.Attrs[i].Tag, func() Result { return r.attr(&p.Attrs[i]) })
	}
}

// step adds the result of one.
func (r *run) step(op Op, tag uint64, do func() Result) {
	if r.unfinished != nil {
		return
	}
	r.dirs.trim()
	res := waiting(r.ctx.Err())
	if r.ctx.Err() == nil || op == OpMove {
		res = do()
	}
	res.Op, res.Tag = op, tag
	r.results.List = append(r.results.List, res)
}

// stop ends the run in the middle of a step.
func (r *run) stop(err error) Result {
	r.unfinished = err
	return waiting(err)
}

// waiting is the result of a step that an error stopped.
func waiting(err error) Result {
	if err == nil {
		return Result{Status: Waiting}
	}
	return Result{Status: Waiting, Reason: err.Error()}
}

// touch notes that a directory has changed.
func (r *run) touch(places ...Place) {
	for _, p := range places {
		r.touched[p.Dir] = true
	}
}

// expected returns what was found with the contents that were expected, so
// that a change since then is seen as one.
func expected(found, want hostfs.Identity) hostfs.Identity {
	if found.Mode.IsRegular() {
		found.Size, found.Mtime = want.Size, want.Mtime
	}
	return found
}

// maxSyncs is how many single syncs are cheaper than one of the file system.
const maxSyncs = 64

// sync makes everything durable that the run did.
func (r *run) sync() error {
	if len(r.touched)+len(r.nodes) > maxSyncs {
		return r.x.tree.SyncFS()
	}
	for id := range r.touched {
		d, err := r.dirs.get(id)
		if err != nil && isMissing(err) {
			continue // removed, or moved by the host: the name that went is in its parent
		}
		if err == nil {
			err = d.Sync()
		}
		if err != nil {
			return err
		}
	}
	for _, p := range r.nodes {
		if err := r.syncNode(p); err != nil {
			return err
		}
	}
	return nil
}

// syncNode syncs what is at a place, if anything is there still.
func (r *run) syncNode(p Place) error {
	d, err := r.dirs.get(p.Dir)
	if err != nil {
		if isMissing(err) {
			return nil
		}
		return err
	}
	n, err := d.OpenNode(p.Name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, hostfs.ErrNotRegular) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(n.Sync(), n.Close())
}
