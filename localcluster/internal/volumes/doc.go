// Package volumes makes a folder for each claim of the storage class kaito-local,
// and removes it with its volume. The folders lie outside all nodes, on the
// machine that every node of a local cluster shares: a volume outlives its node
// and may be used on another one.
package volumes
