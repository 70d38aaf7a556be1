package vvfat

// OptionError says that an option is invalid or contradicts another one: a
// mistake of whoever gave it, not of the tree.
type OptionError struct {
	Option string // the flag, such as "--size"
	Reason string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }
