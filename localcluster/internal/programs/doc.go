// Package programs builds the programs of a local cluster once and keeps them in
// a cache outside the checkout.
//
// The programs are compiled from the module graph of localcluster (CoreDNS from
// its own), grouped into recipes: one recipe is one call of the Go compiler. The
// cache holds
//
//	programs/store/<recipe>-<key>/   the executables of one recipe, build.json
//	programs/<key>/bin/              links to the executables of all recipes
//	programs/<key>/timings.json      what each build took
//	programs/logs/<recipe>-<key>.log what the compiler said
//
// A recipe's key is the hash of everything that goes into its executables:
// go.mod and go.sum of its module, our own sources, the Go version and the flags.
// A change of the registry therefore does not build containerd again, and a
// change of the launcher builds nothing at all.
//
// Folders appear under their final name only when they are whole, and one builder
// at a time holds the lock, so a build that is killed leaves nothing that a later
// one would take for finished.
package programs
