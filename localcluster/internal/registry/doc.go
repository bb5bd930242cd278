// Package registry is the container registry of a local cluster: the distribution
// registry as a library, with files for storage and an access rule of our own.
//
// Repositories are open to everybody, but for those under one prefix, which need
// a user and a password to pull and to push. Wrong credentials are refused
// everywhere, so that a mistake shows at once. The API's root answers 401 with a
// Basic challenge when no credentials come: clients ask it first, and would not
// send the ones they have otherwise.
package registry
