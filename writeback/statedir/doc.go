// Package statedir keeps what a writable disk of a directory needs to survive:
// which generation of the tree it shows, what the guest wrote, and what became of
// that. It knows where things are and when they are durable; what is in the
// overlay, in the journal and in the aside folder belongs to others.
//
//	STATE/
//	  lock                    locked while a server uses the folder
//	  tree.json               which directory this is the state of
//	  session.json            the host's boot, and whether a server has the disk open
//	  generation-000001/      the disk that is presented
//	    overlay.qcow2         what the guest wrote (package overlay)
//	    journal               what became of it (package journal)
//	    settled               nothing of it waits: a new generation may begin
//	    manifest              tree and options of the base; made last
//	  aside/                  displaced, staged and deleted files, if the file system is the tree's
//	  archive/2026-01-31T12-00-00Z/   what somebody began anew
//
// A generation exists from the moment that its manifest does: everything else in
// its folder is durable before. The one with the greatest number counts; what
// is older, or has no manifest, is a leftover of a crash and is removed.
//
// # One writer
//
// A server locks the directory that it shares and the state folder. A registry in
// the user's state home lists the state folders of each directory, so that one
// with unapplied changes is not forgotten when a server is started with another
// folder, or when the directory was moved: that start is refused and says
// where they are.
//
// # What it does not do
//
// It does not notice two servers that share directories within each other. It
// applies nothing and deletes no file of the tree.
package statedir
