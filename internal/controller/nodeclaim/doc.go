// Package nodeclaim takes a NodeClaim from its creation to a node that is ready, and away again.
package nodeclaim
