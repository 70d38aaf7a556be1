package trees

import (
	"fmt"
	"time"

	"pgregory.net/rapid"
)

// Random draws a tree of at most maxNodes nodes with contents of at most
// maxBytes bytes: names from every alphabet that makes trouble, directories in
// directories, sizes around cluster borders. Its names are unique on the host;
// guests may take some of them for one another.
func Random(maxNodes int, maxBytes int64) *rapid.Generator[Tree] {
	return rapid.Custom(func(t *rapid.T) Tree {
		var tree Tree
		dirs, taken := []string{""}, map[string]bool{}
		left := maxBytes
		for i := range rapid.IntRange(0, maxNodes).Draw(t, "nodes") {
			path := rapid.SampledFrom(dirs).Draw(t, "parent") + hostName().Draw(t, "name")
			if taken[path] {
				continue
			}
			taken[path] = true
			n := Node{Path: path, Seed: uint64(i), ModTime: randomTime().Draw(t, "time")}
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				n.Kind = Dir
				dirs = append(dirs, path+"/")
			} else {
				n.Size = min(left, randomSize().Draw(t, "size"))
				left -= n.Size
				if rapid.Bool().Draw(t, "read-only") {
					n.Mode = 0o444
				}
			}
			tree = append(tree, n)
		}
		return tree
	})
}

// hostName draws a name of 1 to 255 bytes without slash and NUL.
func hostName() *rapid.Generator[string] {
	alphabets := []string{`[a-z]{1,12}(\.[a-z]{1,4})?`, `[A-Z]{1,8}\.[A-Z]{1,3}`, `[aA]{1,3}`, `prefix[0-9]{1,4}\.txt`, `[ab. ]{1,5}`, `[:*?"<>|\\~+,;=\[\]]{1,4}`}
	texts := make([]*rapid.Generator[string], len(alphabets))
	for i, a := range alphabets {
		texts[i] = rapid.StringMatching(a)
	}
	unicode := rapid.StringN(1, 20, 255)
	bytes := rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(p []byte) string { return string(p) })
	known := rapid.SampledFrom(unpleasantNames)
	return rapid.OneOf(append(texts, unicode, bytes, known)...).Filter(validOnHost)
}

// validOnHost refuses what no host can hold as a name.
func validOnHost(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 255 {
		return false
	}
	for _, c := range []byte(name) {
		if c == 0 || c == '/' {
			return false
		}
	}
	return true
}

func randomSize() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.SampledFrom(unpleasantSizes), rapid.Int64Range(0, 5000), rapid.Int64Range(0, 200_000))
}

func randomTime() *rapid.Generator[time.Time] {
	second := rapid.Int64Range(BaseTime.AddDate(-60, 0, 0).Unix(), BaseTime.AddDate(100, 0, 0).Unix())
	return rapid.Map(second, func(s int64) time.Time { return time.Unix(s, 0).UTC() })
}

// String describes a node, for failures that are shrunk.
func (n Node) String() string {
	return fmt.Sprintf("{%q kind %d, %d bytes, %s, %v}", n.Path, n.Kind, n.Size, n.ModTime.Format(time.RFC3339), n.Mode)
}
