package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// fatRows are the rows about the FAT engine: what copies trees into images, and
// what checks them.
func fatRows() []row {
	return []row{
		copyInRow("T2", "≤ 0.33 of mcopy -s", contender{"mcopy -s", []string{"mcopy"}, func(b *bench) (sample, error) {
			return intoImage(b, "T2", mcopyIn)
		}}),
		copyInRow("T4", "≤ 1.2 of cp -r", contender{"cp -r", []string{"cp"}, func(b *bench) (sample, error) {
			return intoImage(b, "T4", cpInto)
		}}),
		collidingRow(),
		checkRow("check T3", "≤ 0.5 of fsck.fat, memory ≤ 1", builtT3),
		checkRow("check 2 TiB with few files", "a few seconds, below 64 MiB", hugeVolume),
	}
}

// copyInRow copies a tree into a fresh volume on tmpfs.
func copyInRow(tree, target string, peers ...contender) row {
	fatkit := contender{"fatkit", nil, func(b *bench) (sample, error) { return intoImage(b, tree, fatkitIn) }}
	return row{name: "copy " + tree + " into an image", unit: "ms", target: target, contenders: append([]contender{fatkit}, peers...)}
}

// copyIn returns the command that copies what is in the folder dir into the
// root of the volume in img.
type copyIn func(b *bench, dir, img string) ([]string, error)

func fatkitIn(b *bench, dir, img string) ([]string, error) {
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	return append(append([]string{b.bin, "cp", "-r", "-p"}, entries...), img+":/"), err
}

func mcopyIn(_ *bench, dir, img string) ([]string, error) {
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	return append(append([]string{tools.Lookup("mcopy"), "-s", "-m", "-Q", "-i", img}, entries...), "::/"), err
}

// cpInto copies to the folder of the image instead.
func cpInto(_ *bench, dir, img string) ([]string, error) {
	return []string{tools.Lookup("cp"), "-r", dir, filepath.Join(filepath.Dir(img), "copied")}, nil
}

// intoImage runs f on a tree and a fresh volume on tmpfs with room for it,
// which fatkit has made for every contender.
func intoImage(b *bench, tree string, f copyIn) (sample, error) {
	dir, err := b.tree(tree)
	if err != nil {
		return sample{}, err
	}
	out, err := b.out("copies")
	if err != nil {
		return sample{}, err
	}
	if err := os.Mkdir(out, 0o777); err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(out)
	img := filepath.Join(out, "img")
	size := b.bytes[tree] + b.bytes[tree]/8 + 64<<20
	if err := b.volume(img, size); err != nil {
		return sample{}, err
	}
	args, err := f(b, dir, img)
	if err != nil {
		return sample{}, err
	}
	return watched(args...)
}

// volume makes an image with an empty volume.
func (b *bench) volume(img string, sizeBytes int64) error {
	_, _, err := command(b.bin, "mkfs", "--type", "32", "--size", fmt.Sprint(sizeBytes), img)
	return err
}

// collidingRow copies files whose short names all collide into one directory:
// twice as many take twice as long. mcopy, which looks at all of them for each name and tail,
// gets a fortieth.
func collidingRow() row {
	r := row{name: "colliding names", unit: "ms", target: "20,000 below 2000, ≤ 2.2 of half as many"}
	for _, c := range []struct {
		name  string
		files int
		f     copyIn
		needs []string
	}{
		{"fatkit, 20,000", 20_000, fatkitIn, nil},
		{"fatkit, 10,000", 10_000, fatkitIn, nil},
		{"mcopy, 500", 500, mcopyIn, []string{"mcopy"}},
	} {
		r.contenders = append(r.contenders, contender{c.name, c.needs, func(b *bench) (sample, error) {
			files := c.files
			if b.short {
				files /= 16
			}
			tree := fmt.Sprintf("colliding %d", files)
			if _, ok := b.trees[tree]; !ok {
				if err := b.write(tree, trees.SamePrefix(files)); err != nil {
					return sample{}, err
				}
			}
			return intoImage(b, tree, c.f)
		}})
	}
	return r
}

// checkRow checks the volume in an image that makes gives, and compares time
// and peak memory.
func checkRow(name, target string, makes func(b *bench) (string, error)) row {
	r := row{name: name, unit: "ms", target: target}
	for _, c := range []struct {
		name    string
		needs   []string
		command func(b *bench, img string) []string
	}{
		{"fatkit", nil, func(b *bench, img string) []string { return []string{b.bin, "check", img} }},
		{"fsck.fat", []string{"fsck.fat"}, func(_ *bench, img string) []string {
			return []string{tools.Lookup("fsck.fat"), "-n", img}
		}},
	} {
		r.contenders = append(r.contenders, contender{c.name, c.needs, func(b *bench) (sample, error) {
			img, err := makes(b)
			if err != nil {
				return sample{}, err
			}
			return watched(c.command(b, img)...)
		}})
	}
	return r
}

// builtT3 is the image of the tree with the most files, which lies in the page
// cache.
func builtT3(b *bench) (string, error) { return b.filled("T3", 1<<30) }

// hugeVolume is a sparse image with the largest volume that there is, nearly,
// and a few files.
func hugeVolume(b *bench) (string, error) {
	sizeBytes := int64(2<<40 - 1<<20)
	if b.short {
		sizeBytes >>= 4
	}
	return b.filled("few files", sizeBytes)
}

// filled returns an image with a volume of sizeBytes and a tree in it, made
// when it is first asked for.
func (b *bench) filled(tree string, sizeBytes int64) (string, error) {
	img := filepath.Join(b.dir, "fat "+tree+".img")
	if b.images[img] != "" {
		return img, nil
	}
	dir, err := b.tree(tree)
	if err != nil {
		return "", err
	}
	if err := b.volume(img, sizeBytes); err != nil {
		return "", err
	}
	args, err := fatkitIn(b, dir, img)
	if err != nil {
		return "", err
	}
	if _, _, err := command(args[0], args[1:]...); err != nil {
		return "", err
	}
	b.images[img] = img
	return img, nil
}
