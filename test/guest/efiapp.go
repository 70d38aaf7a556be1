package guest

import (
	"encoding/binary"
	"unicode/utf16"
)

// BootPath is where firmware looks for the application of a removable disk
// (UEFI 2.10, section 3.5.1.1).
const BootPath = "EFI/BOOT/BOOTX64.EFI"

// Layout of the application: headers, then one section with code and text,
// the same in the file and in memory but for alignment.
const (
	peOffset     = 0x40   // of the PE signature
	sectionFile  = 0x200  // file offset of the section
	sectionBytes = 0x400  // of the section in the file
	sectionRVA   = 0x1000 // address of the section, relative to the image
	textOffset   = 0x100  // of the text in the section
)

// BootApp returns a UEFI application for x86-64 that prints text and then
// halts (PE format: Microsoft "PE Format", optional header PE32+; calling
// convention: UEFI 2.10, section 2.3.4). text has at most 300 characters.
//
// It is written as bytes so that the test needs no compiler and fits into the
// smallest volume.
func BootApp(text string) []byte {
	p := make([]byte, sectionFile+sectionBytes)
	putHeaders(p)
	code := []byte{
		0x48, 0x83, 0xEC, 0x28, // sub rsp, 40: shadow space, aligned
		0x48, 0x8B, 0x4A, 0x40, // mov rcx, [rdx+64]: SystemTable->ConOut
		0x48, 0x8D, 0x15, 0, 0, 0, 0, // lea rdx, [rip+text]
		0xFF, 0x51, 0x08, // call [rcx+8]: ConOut->OutputString
		0xF4,       // hlt
		0xEB, 0xFD, // jmp back to it
	}
	const afterLea = 15
	binary.LittleEndian.PutUint32(code[afterLea-4:], textOffset-afterLea)
	copy(p[sectionFile:], code)
	for i, u := range utf16.Encode([]rune(text + "\r\n\x00")) {
		binary.LittleEndian.PutUint16(p[sectionFile+textOffset+2*i:], u)
	}
	return p
}

// putHeaders writes the DOS stub, the COFF header, the optional header and
// the section table.
func putHeaders(p []byte) {
	le := binary.LittleEndian
	copy(p, "MZ")
	le.PutUint32(p[0x3C:], peOffset)
	copy(p[peOffset:], "PE\x00\x00")
	coff := p[peOffset+4:]
	le.PutUint16(coff[0:], 0x8664) // machine: x86-64
	le.PutUint16(coff[2:], 1)      // sections
	le.PutUint16(coff[16:], 240)   // bytes of the optional header
	le.PutUint16(coff[18:], 0x22)  // executable, large addresses
	opt := coff[20:]
	le.PutUint16(opt[0:], 0x20B)         // PE32+
	le.PutUint32(opt[4:], sectionBytes)  // of code
	le.PutUint32(opt[16:], sectionRVA)   // entry point
	le.PutUint32(opt[20:], sectionRVA)   // base of code
	le.PutUint32(opt[32:], 0x1000)       // section alignment
	le.PutUint32(opt[36:], 0x200)        // file alignment
	le.PutUint32(opt[56:], sectionRVA*2) // bytes of the image
	le.PutUint32(opt[60:], sectionFile)  // bytes of headers
	le.PutUint16(opt[68:], 10)           // subsystem: EFI application
	le.PutUint32(opt[108:], 16)          // data directories, all empty
	section := opt[240:]
	copy(section, ".text")
	le.PutUint32(section[8:], sectionBytes)
	le.PutUint32(section[12:], sectionRVA)
	le.PutUint32(section[16:], sectionBytes)
	le.PutUint32(section[20:], sectionFile)
	le.PutUint32(section[36:], 0xE0000020) // code; execute, read, write
}
