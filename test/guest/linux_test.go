package guest

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// controlFiles are what the control image of the Linux guest holds.
var controlFiles = map[string]string{
	"readme.txt":                    "hello",
	"Grüße an 日本.md":                "a long name",
	"folder/in it":                  "deeper",
	"folder/with\x7fodd characters": "x",
}

// TestControlLinux makes sure that the harness works without fatkit: a Linux
// guest reads a volume of mkfs.fat and mtools.
func TestControlLinux(t *testing.T) {
	NeedKernel(t)
	dir := t.TempDir()
	for name, data := range controlFiles {
		writeFile(t, dir, name, []byte(data))
	}
	img := controlImage(t, dir, 40, "16")
	tree, err := ParseTree(StartLinux(t, "dev=vda\n"+ReadTreeScript, DiskArg(img)).Report(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) != len(controlFiles)+1 || !tree["folder"].Dir {
		t.Errorf("%+v", tree)
	}
	for name, data := range controlFiles {
		f := tree[name]
		if f.Sum != fmt.Sprintf("%x", sha256.Sum256([]byte(data))) || f.Size != int64(len(data)) {
			t.Errorf("%q: %+v", name, f)
		}
	}
}
