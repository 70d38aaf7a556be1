package vvfat

var (
	messageCode = []byte{0xF4}
	chainCode   = []byte{0xF4}
)
