package volume

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// mount is one place of a namespace. Its fields do not change.
type mount struct {
	point  string // as written: "C:" or "/mnt/x"
	letter byte   // 0 for a place in the tree
	key    string // in the tree: "mnt/x", or "." for "/"
	vol    *Volume
	dir    string // of the volume, that is shown here
	subst  bool   // it is a second name of a directory
	busy   string // what is being done to the volume; vol is nil meanwhile
}

// depth orders the places in the tree: the longest key that fits counts.
func (m *mount) depth() int {
	if m.key == "." {
		return 0
	}
	return len(m.key)
}

// letters is how many drive letters there are.
const letters = 26

// table says what is mounted where. It does not change: a change makes another.
type table struct {
	drives  [letters]*mount
	points  []*mount // in the tree, the longest keys first
	def     byte     // the default drive; 0 is the tree
	dirs    [letters]string
	treeDir string // current directory of the tree, from its root
}

// drive returns what is mounted at a letter, or nil.
func (t *table) drive(letter byte) *mount { return t.drives[letter-'A'] }

// all lists the mounts: letters, then points by name.
func (t *table) all() []*mount {
	var all []*mount
	for _, m := range t.drives {
		if m != nil {
			all = append(all, m)
		}
	}
	points := slices.Clone(t.points)
	slices.SortFunc(points, func(a, b *mount) int { return strings.Compare(a.key, b.key) })
	return append(all, points...)
}

// at returns what is mounted exactly at a place, or nil.
func (t *table) at(letter byte, key string) *mount {
	if letter != 0 {
		return t.drive(letter)
	}
	for _, m := range t.points {
		if m.key == key {
			return m
		}
	}
	return nil
}

// with returns a table with m instead of what is at its place.
func (t *table) with(m *mount) *table {
	u := t.without(m.letter, m.key)
	if m.letter != 0 {
		u.drives[m.letter-'A'] = m
		return u
	}
	u.points = append(u.points, m)
	slices.SortFunc(u.points, func(a, b *mount) int { return b.depth() - a.depth() })
	return u
}

// without returns a table without what is at a place. Current directories stay:
// something else may come to the place at once.
func (t *table) without(letter byte, key string) *table {
	u := *t
	u.points = slices.DeleteFunc(slices.Clone(t.points), func(m *mount) bool { return letter == 0 && m.key == key })
	if letter != 0 {
		u.drives[letter-'A'] = nil
	}
	return &u
}

// Location is where a path leads: a name on a volume, or a directory of the
// tree that only leads to mount points.
type Location struct {
	mnt  *mount // nil for a directory of the tree
	name string // from the mount point, or from the root of the tree
}

// Volume returns the volume, or nil for a directory of the tree that only
// leads to mount points.
func (l Location) Volume() *Volume {
	if l.mnt == nil {
		return nil
	}
	return l.mnt.vol
}

// Name returns the name within the volume.
func (l Location) Name() string {
	if l.mnt == nil || l.mnt.dir == "." {
		return l.name
	}
	return path.Join(l.mnt.dir, l.name)
}

// String returns the path from a letter or from the root of the tree.
func (l Location) String() string {
	switch {
	case l.mnt == nil:
		return path.Join("/", l.name)
	case l.mnt.letter == 0:
		return path.Join(l.mnt.point, l.name)
	case l.name == ".":
		return l.mnt.point + `\`
	}
	return l.mnt.point + `\` + strings.ReplaceAll(l.name, "/", `\`)
}

// treeName returns the name from the root of the tree, for a location in it.
func (l Location) treeName() string {
	if l.mnt == nil {
		return l.name
	}
	return path.Join(l.mnt.key, l.name)
}

// locate finds where a path leads.
func (t *table) locate(p Path) (Location, error) {
	if p.Letter == 0 && t.def != 0 && !p.Rooted {
		p.Letter = t.def
	}
	if p.Letter != 0 {
		return t.onDrive(p)
	}
	name, err := p.In(t.treeDir)
	if err != nil {
		return Location{}, err
	}
	l, err := t.inTree(name)
	if err == nil && l.mnt == nil && t.def != 0 && (name == "." || !t.leads(name)) {
		p.Letter = t.def
		return t.onDrive(p)
	}
	return l, err
}

// onDrive finds where a path with a letter leads.
func (t *table) onDrive(p Path) (Location, error) {
	dir := t.dirs[p.Letter-'A']
	if dir == "" {
		dir = "."
	}
	name, err := p.In(dir)
	if err != nil {
		return Location{}, err
	}
	return t.onLetter(p.Letter, name)
}

// onLetter finds where a name from the root of a drive leads.
func (t *table) onLetter(letter byte, name string) (Location, error) {
	m := t.drive(letter)
	if m == nil {
		return Location{}, ErrNoDrive
	}
	return m.location(name)
}

// location returns a name below the mount.
func (m *mount) location(name string) (Location, error) {
	if m.vol == nil {
		return Location{}, &busyError{m.busy}
	}
	return Location{m, name}, nil
}

// inTree finds where a name of the tree leads.
func (t *table) inTree(name string) (Location, error) {
	for _, m := range t.points {
		switch {
		case m.key == name:
			return m.location(".")
		case m.key == ".":
			return m.location(name)
		case strings.HasPrefix(name, m.key) && name[len(m.key)] == '/':
			return m.location(name[len(m.key)+1:])
		}
	}
	return Location{nil, name}, nil
}

// leads reports whether a directory of the tree leads to a mount point, which
// makes it exist. The root does if there is any.
func (t *table) leads(name string) bool {
	for _, m := range t.points {
		if name == "." || strings.HasPrefix(m.key, name+"/") {
			return true
		}
	}
	return name == "." && t.def == 0
}

// below lists the next elements of the mount points below a directory of the
// tree.
func (t *table) below(name string) []string {
	var names []string
	for _, m := range t.points {
		rest, ok := m.key, m.key != "."
		if name != "." {
			rest, ok = strings.CutPrefix(m.key, name+"/")
		}
		if ok {
			first, _, _ := strings.Cut(rest, "/")
			names = append(names, first)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parsePoint reads a place to mount at: a letter with a colon, or a path from
// the root of the tree.
func parsePoint(s string) (*mount, error) {
	p, err := ParsePath(s)
	switch {
	case err != nil:
		return nil, err
	case p.Letter != 0 && !p.Rooted && p.Rest == "":
		return &mount{point: string(p.Letter) + ":", letter: p.Letter, dir: "."}, nil
	case p.Letter != 0 || !p.Rooted:
		return nil, fs.ErrInvalid
	}
	key, err := p.In(".")
	if err != nil {
		return nil, err
	}
	return &mount{point: path.Join("/", key), key: key, dir: "."}, nil
}
