package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	blockcopy "github.com/fatkit/fatkit/block/copy"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// mkfsFactors are the flags of mkfs that shape a volume, with the values that
// are tried; "" leaves the flag out. Flags that belong together are one value.
var mkfsFactors = []struct {
	flag   string
	values []string
}{
	{"--size", []string{"1M", "3M", "40M", "600M"}},
	{"--type", []string{"", "12", "16", "32"}},
	{"--sector", []string{"", "1024", "2048", "4096"}},
	{"--cluster", []string{"", "512", "4K", "16K", "64K"}},
	{"--fats", []string{"", "1", "3"}},
	{"--table", []string{"", "mbr", "mbr --active", "gpt", "gpt --table-seed seed", "gpt-system", "--offset 1M", "--offset 64K --volume-size 512K"}},
	{"--reserved", []string{"", "40"}},
	{"--root-entries", []string{"", "16", "1024"}},
	{"--align", []string{"", "4K", "64K"}},
	{"--media", []string{"", "F0", "FA"}},
	{"--track-sectors", []string{"", "32 --heads 64"}},
	{"--hidden", []string{"", "-1", "63"}},
	{"--backup-sector", []string{"", "-1", "12"}},
	{"--drive-number", []string{"", "129", "-1"}},
	{"--label", []string{"", "my disk", "ÄÖÜ"}},
	{"--codepage", []string{"", "850"}},
	{"--serial", []string{"", "1234-ABCD"}},
	{"--oem", []string{"", "fatkit"}},
	{"--boot-message", []string{"", "Nothing here."}},
	{"--boot-code", []string{"", "FILE"}},
	{"--bad", []string{"", "2000000,2000001", "2500000"}},
	{"--timezone", []string{"", "utc"}},
}

// mkfsCase is one choice of values, by flag.
type mkfsCase map[string]string

func (c mkfsCase) String() string {
	var parts []string
	for _, f := range mkfsFactors {
		if v := c[f.flag]; v != "" {
			parts = append(parts, f.flag+" "+v)
		}
	}
	return strings.Join(parts, " ")
}

// args returns the command line.
func (c mkfsCase) args(bootCode string) []string {
	args := []string{"mkfs", "--json", "--force"}
	for _, f := range mkfsFactors {
		switch v := c[f.flag]; {
		case v == "":
		case f.flag == "--label" || f.flag == "--boot-message":
			args = append(args, f.flag, v)
		case f.flag == "--boot-code":
			args = append(args, f.flag, bootCode)
		case strings.HasPrefix(v, "--"):
			args = append(args, strings.Fields(v)...)
		default:
			args = append(append(args, f.flag), strings.Fields(v)...)
		}
	}
	return args
}

// bytes returns a size flag's value, or the value def if it is left out.
func (c mkfsCase) bytes(flag string, def int64) int64 {
	v := c[flag]
	if v == "" {
		return def
	}
	shift := strings.IndexByte(" KM", v[len(v)-1])
	if shift > 0 {
		v = v[:len(v)-1]
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n << (10 * max(shift, 0))
}

// verdict is what must come of a case.
type verdict int

const (
	either  verdict = iota // too near a limit to tell by rough arithmetic
	made                   // it must be made
	refused                // it must not
)

// expect works out, in another way than mkfs does, what must come of c.
func (c mkfsCase) expect() verdict {
	sector, size := c.bytes("--sector", 512), c.bytes("--size", 0)
	switch {
	case strings.Contains(c["--table"], "--volume-size"):
		size = 512 << 10
	case c["--table"] == "--offset 1M" || strings.Contains(c["--table"], "mbr") || strings.Contains(c["--table"], "gpt"):
		size -= 1 << 20
	}
	if size < 256<<10 {
		return refused // nothing is left behind the table
	}
	clusters := []int64{512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}
	if c["--cluster"] != "" {
		clusters = []int64{c.bytes("--cluster", 0)}
	}
	best := refused
	for _, cluster := range clusters {
		for _, typ := range []string{"12", "16", "32"} {
			if cluster < sector || c["--type"] != "" && c["--type"] != typ {
				continue
			}
			switch v := c.fits(typ, size, cluster, sector); {
			case v == made:
				best = made
			case v == either && best == refused:
				best = either
			}
		}
	}
	switch {
	case best == made && size < 2<<20: // it may be all tables
		return either
	case best == made && c["--type"] == "" && (c["--root-entries"] != "" || c["--backup-sector"] != ""):
		return either // the type may be one that has no such thing
	}
	return best
}

// fits tells whether a volume can have a type and a size of clusters.
func (c mkfsCase) fits(typ string, size, cluster, sector int64) verdict {
	n := size / cluster
	limits := map[string][2]int64{"12": {1, 4084}, "16": {4085, 65524}, "32": {65525, 1 << 28}}[typ]
	overhead := 64*sector + 160<<10 + 3*n*4 // reserved sectors, root directory, alignment and FATs, at most
	least := (size - overhead) / cluster
	switch {
	case typ == "32" && c["--root-entries"] != "" || typ != "32" && c["--backup-sector"] == "12":
		return refused // the type has no such thing
	case c["--bad"] != "" && size < 2_000_000:
		return refused // the volume has no such byte
	case c["--bad"] != "" && (size < 3<<20 || overhead > 2_000_000 || c["--cluster"] == ""):
		return either // it may be one of the tables
	case n < limits[0] || least > limits[1]+limits[1]/16:
		return refused
	case least < limits[0]+20 || n > limits[1]-20 || least < 20:
		return either
	}
	return made
}

// pairwise returns cases that hold every pair of values of two factors that
// can be made together. The seed decides what else is in them.
func pairwise(seed uint64) []mkfsCase {
	type value struct{ flag, v string }
	type pair [2]value
	open := map[pair]bool{}
	var order []pair
	for i, f := range mkfsFactors {
		for _, g := range mkfsFactors[i+1:] {
			for _, v := range f.values {
				for _, w := range g.values {
					p := pair{{f.flag, v}, {g.flag, w}}
					open[p] = true
					order = append(order, p)
				}
			}
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	pairs := func(c mkfsCase) (out []pair) {
		for i, f := range mkfsFactors {
			for _, g := range mkfsFactors[i+1:] {
				if p := (pair{{f.flag, c[f.flag]}, {g.flag, c[g.flag]}}); open[p] {
					out = append(out, p)
				}
			}
		}
		return out
	}
	var cases []mkfsCase
	for _, p := range order {
		if !open[p] {
			continue
		}
		var best mkfsCase
		most := -1
		for try := 0; try < 400 && !(best != nil && try >= 40); try++ {
			c := randomMkfs(rnd)
			c[p[0].flag], c[p[1].flag] = p[0].v, p[1].v
			if c.expect() != made {
				continue
			}
			if n := len(pairs(c)); n > most {
				best, most = c, n
			}
		}
		if best == nil {
			delete(open, p) // the two exclude each other, or nearly
			continue
		}
		for _, q := range pairs(best) {
			delete(open, q)
		}
		cases = append(cases, best)
	}
	return cases
}

// randomMkfs draws a value for each factor.
func randomMkfs(rnd *rand.Rand) mkfsCase {
	c := mkfsCase{}
	for _, f := range mkfsFactors {
		c[f.flag] = f.values[rnd.IntN(len(f.values))]
	}
	return c
}

// TestMkfsMatrix makes volumes over the options of mkfs: fsck.fat and mdir
// accept each, and it is what was asked for. In the short form every pair of
// options meets; the full one adds every shape with other options at random.
func TestMkfsMatrix(t *testing.T) {
	tools.Need(t, "fsck.fat", "mdir", "minfo", "sfdisk")
	cases := pairwise(1)
	if product.Long() {
		for seed := uint64(2); seed < 8; seed++ {
			cases = append(cases, pairwise(seed)...)
		}
		cases = append(cases, everyShape()...)
	}
	bootCode := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(bootCode, slices.Repeat([]byte{0x90}, 400), 0o666); err != nil {
		t.Fatal(err)
	}
	counts := map[bool]int{}
	for _, c := range cases {
		counts[tryMkfs(t, c, bootCode)]++
	}
	t.Logf("%d volumes, %d refusals", counts[true], counts[false])
	if counts[true] < len(cases)/3 || product.Long() && counts[false] == 0 {
		t.Errorf("of %d cases %d were made and %d refused", len(cases), counts[true], counts[false])
	}
}

// everyShape is every choice of size, type, sector, cluster and number of
// FATs, with other options at random, whether it can be made or not.
func everyShape() (cases []mkfsCase) {
	rnd := rand.New(rand.NewPCG(3, 3))
	shape := []int{0, 0, 0, 0, 0}
	for {
		c := randomMkfs(rnd)
		for i, k := range shape {
			c[mkfsFactors[i].flag] = mkfsFactors[i].values[k]
		}
		cases = append(cases, c)
		i := 0
		for ; i < len(shape); i++ {
			if shape[i]++; shape[i] < len(mkfsFactors[i].values) {
				break
			}
			shape[i] = 0
		}
		if i == len(shape) {
			return cases
		}
	}
}

// tryMkfs runs one case, and reports whether a volume was made.
func tryMkfs(t *testing.T, c mkfsCase, bootCode string) bool {
	t.Helper()
	img := filepath.Join(t.TempDir(), "img")
	defer os.Remove(img)
	r := tools.Try(t, product.Binary(t), append(c.args(bootCode), img)...)
	if r.Code != 0 {
		if _, err := os.Stat(img); err == nil {
			t.Errorf("%s: refused, and yet there is an image", c)
		}
		if c.expect() == made || r.Code != 2 && r.Code != 3 || strings.Count(r.Stderr, "\n") != 4-r.Code { // a usage error points at --help
			t.Errorf("%s: exit code %d\n%s", c, r.Code, r.Stderr)
		}
		return false
	}
	if c.expect() == refused {
		t.Errorf("%s: made what cannot be\n%s", c, r.Stdout)
	}
	if err := judgeMkfs(t, c, img, r.Stdout); err != nil {
		t.Errorf("%s: %v", c, err)
	}
	return true
}

// judgeMkfs has the tools of others and our checker look at an image, and
// compares it with what was asked for.
func judgeMkfs(t *testing.T, c mkfsCase, img, report string) error {
	var told struct {
		Type         int
		SectorBytes  int64 `json:"sector_bytes"`
		ClusterBytes int64 `json:"cluster_bytes"`
	}
	if err := json.Unmarshal([]byte(report), &told); err != nil {
		return err
	}
	if want := c["--type"]; want != "" && want != fmt.Sprint(told.Type) ||
		told.SectorBytes != c.bytes("--sector", 512) || told.ClusterBytes != c.bytes("--cluster", told.ClusterBytes) {
		return fmt.Errorf("made %+v", told)
	}
	offset := int64(0)
	switch {
	case strings.HasPrefix(c["--table"], "--offset 64K"):
		offset = 64 << 10
	case c["--table"] != "":
		offset = 1 << 20
	}
	if c["--table"] != "" && offset == 1<<20 && c["--table"] != "--offset 1M" && told.SectorBytes == 512 {
		if out := tools.Run(t, "sfdisk", "--verify", img); !strings.Contains(out, "No errors detected") {
			return fmt.Errorf("sfdisk --verify: %s", out)
		}
	}
	at := fmt.Sprintf("%s@@%d", img, offset)
	listing := tools.Try(t, "mdir", "-i", at, "::/")
	if listing.Code != 0 {
		return fmt.Errorf("mdir: %s%s", listing.Stdout, listing.Stderr)
	}
	if c["--label"] == "my disk" && !strings.Contains(listing.Stdout, "MY DISK") {
		return fmt.Errorf("mdir shows no label:\n%s", listing.Stdout)
	}
	if err := c.compareInfo(tools.Run(t, "minfo", "-i", at, "::")); err != nil {
		return err
	}
	return checkVolumeAt(t, c, img, offset)
}

// compareInfo compares what mtools' minfo says with what was asked for.
func (c mkfsCase) compareInfo(info string) error {
	for _, x := range []struct{ flag, value, says string }{
		{"--fats", c["--fats"], "fats: %s\n"},
		{"--root-entries", map[string]string{"1024": "1024"}[c["--root-entries"]], "max available root directory slots: %s\n"},
		{"--track-sectors", map[bool]string{true: "32"}[c["--track-sectors"] != ""], "sectors per track: %s"},
		{"--track-sectors", map[bool]string{true: "64"}[c["--track-sectors"] != ""], "heads: %s"},
		{"--hidden", map[string]string{"-1": "0", "63": "63"}[c["--hidden"]], "hidden sectors: %s"},
		{"--media", map[string]string{"F0": "f0", "FA": "fa"}[c["--media"]], "media descriptor byte: 0x%s"},
		{"--serial", map[bool]string{true: "1234ABCD"}[c["--serial"] != ""], "serial number: %s"},
		{"--drive-number", map[string]string{"129": "0x81", "-1": "0x0"}[c["--drive-number"]], "physical drive id: %s"},
		{"--backup-sector", map[string]string{"12": "12"}[c["--backup-sector"]], "Backup boot sector=%s"},
	} {
		want := strings.ToLower(fmt.Sprintf(x.says, x.value))
		if x.value != "" && !strings.Contains(strings.ToLower(info), want) {
			return fmt.Errorf("minfo does not say %q:\n%s", want, info)
		}
	}
	return nil
}

// checkVolumeAt has fsck.fat and our checker look at the volume at offset.
func checkVolumeAt(t *testing.T, c mkfsCase, img string, offset int64) error {
	dev, err := file.Open(img, file.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer dev.Close()
	part, err := block.NewSection(dev, offset, dev.Size()-offset, block.SectionOptions{})
	if err != nil {
		return err
	}
	page, err := strconv.Atoi("0" + c["--codepage"])
	if err != nil {
		return err
	}
	r, err := fat.Check(t.Context(), part, fat.CheckOptions{CodePage: page})
	if err != nil {
		return err
	}
	noBackup := c["--backup-sector"] == "-1" && r.Info.Type == 32
	for _, f := range r.Findings {
		if f.Severity > diskerr.Info && !(noBackup && f.Code == "no-backup-boot") {
			return fmt.Errorf("our checker: %+v", f)
		}
	}
	if bad := strings.Count(c["--bad"], ","); c["--bad"] != "" && (r.Bad < 1 || int(r.Bad) > bad+1) {
		return fmt.Errorf("%d clusters are marked bad", r.Bad)
	}
	if c["--fats"] == "3" || noBackup || c["--label"] == "ÄÖÜ" {
		return nil // fsck.fat knows no third FAT and no letters beyond ASCII in a label, and wants to make a backup
	}
	if offset != 0 {
		alone := img + ".part"
		defer os.Remove(alone)
		if err := copySparse(alone, part); err != nil {
			return err
		}
		img = alone
	}
	if f := tools.Try(t, "fsck.fat", "-n", img); f.Code != 0 {
		return fmt.Errorf("fsck.fat: exit code %d\n%s%s", f.Code, f.Stdout, f.Stderr)
	}
	return nil
}

// copySparse copies a device to a file, but for its zeroes.
func copySparse(path string, src block.Device) (err error) {
	dst, err := file.Create(path, src.Size(), file.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	return blockcopy.Copy(context.Background(), dst, src, blockcopy.Options{})
}
