package main

// allocatedBytes returns how much space a file takes on its host, which is not
// asked here.
func allocatedBytes(string) (int64, bool) { return 0, false }
