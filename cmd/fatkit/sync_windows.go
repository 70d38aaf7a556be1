package main

// syncFolder does nothing: the system makes a rename durable by itself.
func syncFolder(string) error { return nil }
