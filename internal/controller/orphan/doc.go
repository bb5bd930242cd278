// Package orphan removes machines of ours whose claim is gone.
package orphan
