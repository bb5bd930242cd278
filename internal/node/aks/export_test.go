package aks

import "kaito.sh/kaito/internal/node"

// Understand is Classify for an error that an offer met.
func (p *Provider) Understand(err error, offer node.Offer) *node.Error {
	return p.understand(err, offer)
}
