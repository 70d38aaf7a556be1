package volume

import (
	"io/fs"

	"github.com/fatkit/fatkit/vfs"
)

// Drive returns the letter of the default drive, or 0 if that is the tree.
func (n *Namespace) Drive() byte { return n.table.Load().def }

// SetDrive makes a letter the default drive, or the tree if letter is 0.
func (n *Namespace) SetDrive(letter byte) error {
	return n.change(func(t *table) (*table, error) {
		u := *t
		if u.def = letter &^ 0x20; letter != 0 && (u.def < 'A' || u.def > 'Z' || t.drive(u.def) == nil) {
			return nil, &fs.PathError{Op: "drive", Path: string(letter) + ":", Err: ErrNoDrive}
		}
		return &u, nil
	})
}

// Chdir makes a directory the current one of its drive. One in the tree becomes
// the current one of the tree, which then is the default drive, too.
func (n *Namespace) Chdir(name string) error {
	l, err := n.locate(name)
	var fi fs.FileInfo
	if err == nil {
		fi, err = n.Stat(name)
	}
	if err == nil && !fi.IsDir() {
		err = vfs.ErrNotDir
	}
	if err != nil {
		return pathError("chdir", name, err)
	}
	return pathError("chdir", name, n.change(func(t *table) (*table, error) {
		u := *t
		if l.mnt == nil || l.mnt.letter == 0 {
			u.def, u.treeDir = 0, l.treeName()
			return &u, nil
		}
		if t.drive(l.mnt.letter) != l.mnt { // unmounted meanwhile
			return nil, ErrNoDrive
		}
		u.dirs[l.mnt.letter-'A'] = l.name
		return &u, nil
	}))
}

// Getwd returns the current directory of a drive, or of the tree if letter is
// 0, as a path.
func (n *Namespace) Getwd(letter byte) (string, error) {
	t := n.table.Load()
	if letter == 0 {
		return Location{nil, t.treeDir}.String(), nil
	}
	letter &^= 0x20
	if letter < 'A' || letter > 'Z' || t.drive(letter) == nil {
		return "", &fs.PathError{Op: "getwd", Path: string(letter) + ":", Err: ErrNoDrive}
	}
	dir := t.dirs[letter-'A']
	if dir == "" {
		dir = "."
	}
	return Location{t.drive(letter), dir}.String(), nil
}
