package trees

import "fmt"

// The trees that speed and memory are measured with.

// T1 is 8 files of 48 MiB.
func T1() Tree { return Flat(8, 48<<20) }

// T2 is 20,000 files of 4 KiB in 200 directories.
func T2() Tree { return Grid(200, 100, 4<<10) }

// T3 is 200,000 files of 1 KiB in 2,000 directories.
func T3() Tree { return Grid(2000, 100, 1<<10) }

// T4 is 10 files of 400 MiB.
func T4() Tree { return Flat(10, 400<<20) }

// Flat is n files of sizeBytes bytes each in the root.
func Flat(n int, sizeBytes int64) Tree {
	t := make(Tree, n)
	for i := range t {
		t[i] = Node{Path: fmt.Sprintf("file%02d.bin", i), Size: sizeBytes, Seed: uint64(i) + 1}
	}
	return t
}

// Grid is files of sizeBytes bytes each, perDir in each of dirs directories.
func Grid(dirs, perDir int, sizeBytes int64) Tree {
	t := make(Tree, 0, dirs*perDir)
	for d := range dirs {
		for f := range perDir {
			t = append(t, Node{
				Path: fmt.Sprintf("dir%04d/file %05d.dat", d, f), Size: sizeBytes, Seed: uint64(d*perDir+f) + 1,
			})
		}
	}
	return t
}

// SamePrefix is n small files in one directory whose names share their first
// six letters, so that they all want the same short names.
func SamePrefix(n int) Tree {
	t := make(Tree, n)
	for i := range t {
		t[i] = Node{Path: fmt.Sprintf("crowded/prefix number %d.text", i), Size: int64(i % 3), Seed: uint64(i)}
	}
	return t
}
