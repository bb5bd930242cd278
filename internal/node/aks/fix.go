package aks

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/near"
	"kaito.sh/kaito/internal/node"
)

// What messages about quotas and sizes name.
var (
	namedFamily = regexp.MustCompile(`(?i)exceeding approved (.{2,60}?) cores quota|for family (.{2,60}?) for region`)
	namedRegion = regexp.MustCompile(`(?i)location:? '?([a-z0-9]{4,30})\b|(?:for|in) (?:region|location) '?([a-z0-9]{4,30})\b`)
	namedSize   = regexp.MustCompile(`\bStandard_[A-Za-z0-9_-]+`)
)

// fix is one sentence about what a person can do.
func (p *Provider) fix(e *node.Error, a answer, offer node.Offer) string {
	switch e.Class {
	case node.Quota:
		return p.fixQuota(e, a, offer)
	case node.SKUUnavailable:
		return p.fixSize(a, offer)
	case node.Capacity:
		return "Wait, name further instance types on the claim, or use another region."
	case node.Auth:
		if strings.Contains(a.text, "x509: ") {
			return "Give the provisioner the certificate of the authority that signs for Azure's endpoint."
		}
		if a.status == http.StatusOK {
			return "Give the cluster's own identity the right that the message names."
		}
		return fmt.Sprintf("Check the identity's federated credential, and that it has the provisioner's role on the cluster %s (docs/aks.md).", p.o.Cluster)
	case node.NotFound:
		return fmt.Sprintf("Check that the cluster %s is in the resource group %s of the subscription %s (values aks.cluster, aks.resourceGroup, aks.subscription).", p.o.Cluster, p.o.Group, p.o.Subscription)
	case node.Invalid:
		return "Change what the claim asks for as the message says."
	default:
		return ""
	}
}

// has says whether a code is among those of an answer.
func (a answer) has(code string) bool {
	return slices.ContainsFunc(a.codes, func(c string) bool { return strings.EqualFold(c, code) })
}

// fixQuota says what quota to ask for, and where.
func (p *Provider) fixQuota(e *node.Error, a answer, offer node.Offer) string {
	switch {
	case a.has("MaxAgentPoolCountReached") || strings.Contains(strings.ToLower(a.text), "node pools") || strings.Contains(strings.ToLower(a.text), "agent pools"):
		return "Remove agent pools that are not needed: a cluster has at most 100, and each claim takes one."
	case a.has("SubnetIsFull") || a.has("InsufficientSubnetSize"):
		return "Give the cluster's nodes a larger subnet."
	}
	region := p.region(a)
	where := ""
	if region != "" {
		where = " in " + region
	}
	what := p.family(a, offer)
	if e.Zero {
		return fmt.Sprintf("Ask Azure for quota of %s%s, where the limit is 0, or name another instance type.", what, where)
	}
	return fmt.Sprintf("Ask Azure for more quota of %s%s, free some, or name another instance type.", what, where)
}

// family is what a quota is counted by, in Azure's words.
func (p *Provider) family(a answer, offer node.Offer) string {
	text := strings.ToLower(a.text)
	known, ok := p.types.Lookup(offer.InstanceType)
	switch family := named(namedFamily, a.text); {
	case strings.Contains(text, "total regional cores"), strings.Contains(text, "regional vcpu quota"):
		return "Total Regional vCPUs"
	case strings.Contains(text, "lowprioritycores"), strings.Contains(text, "low priority"):
		return "Total Regional Low-priority vCPUs (those of spot machines)"
	case family != "":
		return family
	case ok && known.Family != "":
		return known.Family
	}
	return "the VM family"
}

// either is a list of which one is to be taken.
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// fixSize names types that can be had instead.
func (p *Provider) fixSize(a answer, offer node.Offer) string {
	if a.has("AvailabilityZoneNotSupported") {
		return "Ask for no zone, or for another one."
	}
	name := offer.InstanceType
	if name == "" {
		name = namedSize.FindString(a.text)
	}
	known, ok := p.types.Lookup(name)
	switch successors := p.types.Successors(name); {
	case ok && known.Retired && len(successors) > 0:
		return fmt.Sprintf("%s is retired; use %s instead.", known.Name, either(successors))
	case !ok && name != "":
		if names := near.Names(name, p.types.Names(azure)); len(names) > 0 {
			return fmt.Sprintf("%s is not among the known types; perhaps %s is meant.", name, either(names))
		}
	case len(successors) > 0:
		return fmt.Sprintf("Use %s instead, or another region or zone.", either(successors))
	}
	if region := p.region(a); region != "" {
		return fmt.Sprintf("Name another instance type; az vm list-skus --location %s shows what is sold.", region)
	}
	return "Name another instance type; az vm list-skus shows what is sold in a region."
}

// region is the one of the message, or of the options.
func (p *Provider) region(a answer) string {
	if name := named(namedRegion, a.text); name != "" {
		return strings.ToLower(name)
	}
	return p.o.Location
}

// named is the group of an expression that matched, empty if none did.
func named(expression *regexp.Regexp, text string) string {
	for i, group := range expression.FindStringSubmatch(text) {
		if i > 0 && group != "" {
			return group
		}
	}
	return ""
}
