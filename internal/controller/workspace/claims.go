package workspace

import (
	"cmp"
	"slices"
	"strconv"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/render"
)

// demand is what a pass wants of the nodes that are made for a Workspace.
type demand int

const (
	// keepNodes leaves what was asked for, and asks for nothing: where an edit cannot be
	// judged, or data is still being checked.
	keepNodes demand = iota
	// askForNodes wants as many as the plan says.
	askForNodes
	// releaseNodes gives all of them back.
	releaseNodes
)

// wish is a demand with what it is about.
type wish struct {
	demand demand
	// nodes is how many are wanted, node what each of them is like.
	nodes int
	node  render.Node
}

// changes are what a wish makes of the claims that are there.
type changes struct {
	create []render.Node
	remove []nodeclaim.NodeClaim
}

// none is true where the claims are as they are wanted.
func (c changes) none() bool { return len(c.create) == 0 && len(c.remove) == 0 }

// provisions is true of a Workspace whose nodes are made for it.
func provisions(ws *v1beta1.Workspace) bool { return ws.Resource.InstanceType != "" }

// sortClaims splits the claims with a Workspace's labels into those of the Workspace, by
// ordinal and attempt, and those of an earlier one of its name, which nobody else removes.
// What carries no mark of ours is a person's, and left alone.
func sortClaims(ws *v1beta1.Workspace, all []nodeclaim.NodeClaim) (ours, earlier []nodeclaim.NodeClaim) {
	for i := range all {
		switch all[i].Annotations[nodeclaim.AnnotationWorkspaceUID] {
		case string(ws.UID):
			ours = append(ours, all[i])
		case "":
		default:
			earlier = append(earlier, all[i])
		}
	}
	slices.SortFunc(ours, func(a, b nodeclaim.NodeClaim) int {
		return cmp.Or(cmp.Compare(ordinal(&a), ordinal(&b)), cmp.Compare(attempt(&a), attempt(&b)), cmp.Compare(a.Name, b.Name))
	})
	return ours, earlier
}

// ordinal is which of a Workspace's nodes a claim asks for; a label that was damaged is
// none of them, so that the claim is replaced.
func ordinal(c *nodeclaim.NodeClaim) int { return count(c.Labels[nodeclaim.LabelOrdinal]) }

// attempt is how often the claim of its ordinal was replaced before.
func attempt(c *nodeclaim.NodeClaim) int {
	return max(0, count(c.Annotations[nodeclaim.AnnotationAttempt]))
}

func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// standing are the claims that are not on their way out, one for each ordinal: where a
// race has made two, that which is ready, else the older.
func standing(claims []nodeclaim.NodeClaim) []nodeclaim.NodeClaim {
	var all []nodeclaim.NodeClaim
	for i := range claims {
		c := &claims[i]
		switch last := len(all) - 1; {
		case !c.DeletionTimestamp.IsZero() || ordinal(c) < 0:
		case last < 0 || ordinal(&all[last]) != ordinal(c):
			all = append(all, *c)
		case claimReady(c) && !claimReady(&all[last]):
			all[last] = *c
		}
	}
	return all
}

// changes compares the claims that are there, sorted, with those that are wanted. A claim
// that is on its way out still has its name: its successor is called otherwise.
func (w wish) changes(ours, earlier []nodeclaim.NodeClaim) changes {
	var c changes
	c.remove = append(c.remove, living(earlier)...)
	if w.demand == keepNodes {
		return c
	}
	wanted := w.nodes
	if w.demand == releaseNodes {
		wanted = 0
	}
	kept := map[string]bool{}
	next := map[int]int{}
	for i := range ours {
		next[ordinal(&ours[i])] = max(next[ordinal(&ours[i])], attempt(&ours[i])+1)
	}
	have := map[int]bool{}
	stands := standing(ours)
	for i := range stands {
		if n := ordinal(&stands[i]); n < wanted {
			have[n], kept[stands[i].Name] = true, true
		}
	}
	for n := range wanted {
		if !have[n] {
			node := w.node
			node.Ordinal, node.Attempt = n, next[n]
			c.create = append(c.create, node)
		}
	}
	for _, claim := range living(ours) {
		if !kept[claim.Name] {
			c.remove = append(c.remove, claim)
		}
	}
	return c
}

// living are the claims that nobody has deleted yet.
func living(claims []nodeclaim.NodeClaim) []nodeclaim.NodeClaim {
	var all []nodeclaim.NodeClaim
	for i := range claims {
		if claims[i].DeletionTimestamp.IsZero() {
			all = append(all, claims[i])
		}
	}
	return all
}
