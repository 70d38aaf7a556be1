// Package lint holds the architecture of fatkit as data, and the tests that
// keep the code to it: which package may import which, what the lowest layer
// must not do, and how long functions and files may grow.
//
// A package belongs to a layer. It may import packages of lower layers, plus
// the edges within its layer that [within] lists. A package that is in no
// layer fails the test, so that adding one is a decision that is written down
// here.
package lint

// layers names the packages of each layer, lowest first, relative to the
// module. A name that ends in "/" stands for the packages below it.
var layers = [...][]string{
	0: {"diskerr", "internal/format/"},
	1: {"block", "block/", "vfs", "vfs/", "internal/hostfs", "internal/hostfs/", "internal/journal"},
	2: {"vvfat", "fat", "qcow2", "volume", "nbd", "nbd/wire", "fusemount"},
	3: {"stack", "stack/drivers", "stack/live", "writeback", "writeback/", "internal/fileops"},
	4: {"internal/server", "internal/server/", "internal/shell"},
	5: {"cmd/fatkit"},
}

// edge is a permitted import within one layer. Either end may name a subtree
// with a final "/".
type edge struct{ from, to string }

// within lists every permitted import between packages of one layer, besides
// that of a package and its own sub-packages.
var within = []edge{
	{"internal/format/", "diskerr"},
	{"block/", "block"},
	{"vfs/", "vfs"},
	{"vfs/host", "internal/hostfs"},
	{"internal/hostfs/", "internal/hostfs"},
	{"internal/journal", "internal/hostfs"},
	{"stack/drivers", "stack"},
	{"writeback/diff", "writeback/catalog"},
	{"writeback/plan", "writeback/catalog"},
	{"writeback/plan", "writeback/diff"},
	{"writeback/plan", "writeback/apply"},
	{"stack/live", "stack"},
	{"stack/live", "writeback"},
	{"stack/live", "writeback/"},
}

// suites are the packages that only tests import. They may be used by the
// tests of any layer, and by no code.
var suites = []string{"block/blocktest", "block/fault", "block/crash", "vfs/vfstest", "internal/hostfs/hosttest", "internal/hostfs/hosttwin", "test/"}

// narrow lists packages that may use less than their layer allows: everything
// of fatkit that they import must be named here.
var narrow = map[string][]string{
	"nbd":       {"nbd/wire", "block", "diskerr"},
	"nbd/wire":  {"diskerr"},
	"fusemount": {"vfs", "block", "diskerr"},
	"diskerr":   {},

	"writeback/apply": {"internal/hostfs", "internal/journal", "diskerr"},
}

// external lists the modules outside the standard library that a subtree may
// use. Everything not listed is standard library only.
var external = map[string][]string{
	"vfs/host":               {"golang.org/x/sys"},
	"block/file":             {"golang.org/x/sys"},
	"block/copy":             {"golang.org/x/sys", "golang.org/x/sync"},
	"block/overlay":          {"golang.org/x/sys"},
	"fusemount":              {"github.com/hanwen/go-fuse/v2", "golang.org/x/sys"},
	"internal/hostfs":        {"golang.org/x/sys"},
	"internal/format/fatfmt": {"golang.org/x/text"},
	"vvfat":                  {"golang.org/x/sys", "golang.org/x/sync", "golang.org/x/text"},
	"qcow2":                  {"github.com/klauspost/compress", "golang.org/x/sync"},
	"stack":                  {"golang.org/x/sys"},
	"internal/server":        {"golang.org/x/sys", "golang.org/x/sync"},
	"internal/shell":         {"golang.org/x/term"},
	"cmd/fatkit":             {"golang.org/x/sys", "golang.org/x/term", "golang.org/x/sync", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/BurntSushi/toml"},
}

// Limits of size. A function reads without scrolling; a file is one structure
// or one step. [longFunctions] and [longFiles] name the exceptions with their
// size, which may shrink and must not grow.
const (
	maxFunctionLines = 70
	maxFileLines     = 500
)

var longFunctions = map[string]int{}

var longFiles = map[string]int{}
