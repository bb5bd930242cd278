package estimate

import (
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// Offer is a number of nodes with equal GPUs.
type Offer struct {
	// Nodes is how many, GPUs how many each has.
	Nodes, GPUs int
	// Each is the memory of each GPU, in GB as it is sold.
	Each int
	// Slice is true of one slice of a GPU; Each is then its own memory.
	Slice bool
}

// GPUsTooSmallError says by how much a model misses the GPUs of nodes.
type GPUsTooSmallError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// Nodes is on how many like it the model could be served, GPUs how many of each it can
	// use, Product what they are called; Slice is their profile where they are slices of GPUs,
	// of which a model uses one.
	Nodes, GPUs int
	Product     string
	Slice       string
	// Whole is true of a model whose layers vLLM cannot spread over several nodes.
	Whole bool
	// Context is what was to fit.
	Context int
	// Need is what model, cache and engine take of all GPUs; Has is what the engine may use of them.
	Need, Has model.Bytes
	// Fits is what would do.
	Fits []Offer
	// Assumed is what was bounded from above because no source says it.
	Assumed []string
}

// Error says what is missing and what would help.
func (e *GPUsTooSmallError) Error() string {
	text := fmt.Sprintf("model %q with a context of %d needs %v of GPU memory, %v more than the %v that are usable of ", e.Model, e.Context, e.Need, e.Need-e.Has, e.Has)
	if e.Nodes > 1 {
		text += fmt.Sprintf("%d like node %q together, each with %d x %s", e.Nodes, e.Node, e.GPUs, e.Product)
	} else {
		text += fmt.Sprintf("%d x %s on node %q", e.GPUs, e.Product, e.Node)
	}
	if len(e.Fits) > 0 {
		text += ": it fits on " + offered(e.Fits)
	}
	if e.Whole {
		text += "; vLLM cannot spread its layers over several nodes"
	}
	if len(e.Assumed) > 0 {
		text += "; confidence is low, and the model may need less: " + strings.Join(e.Assumed, "; ")
	}
	return text
}

func offered(all []Offer) string {
	var parts []string
	for i, o := range all {
		switch {
		case o.Slice:
			parts = append(parts, fmt.Sprintf("1 slice with %d GB", o.Each))
		case i > 0 && all[i-1].Slice && o.GPUs == 1:
			parts = append(parts, fmt.Sprintf("1 whole GPU with %d GB", o.Each))
		case i > 0 && all[i-1].Slice && o.Nodes == 1:
			parts = append(parts, fmt.Sprintf("%d whole GPUs with %d GB each", o.GPUs, o.Each))
		case o.Nodes > 1:
			parts = append(parts, fmt.Sprintf("%d nodes with %d GPUs of %d GB each", o.Nodes, o.GPUs, o.Each))
		case i > 0:
			parts = append(parts, fmt.Sprintf("%d with %d GB each", o.GPUs, o.Each))
		case o.GPUs == 1:
			parts = append(parts, fmt.Sprintf("1 GPU with %d GB", o.Each))
		default:
			parts = append(parts, fmt.Sprintf("%d GPUs with %d GB each", o.GPUs, o.Each))
		}
	}
	return strings.Join(parts, ", or ")
}

// gpusTooSmall measures what is missing on the most GPUs that could be used.
func gpusTooSmall(m model.Model, wish model.Wish, node model.NodeShape, room room, assumed []string) error {
	context, l := neededContext(m, wish), largest(m, wish, room)
	fit := fitGPUs(m, wish, node.GPUs.Memory, l)
	has := fit.memory.Weights + fit.memory.Adapters + fit.memory.Overhead - fit.short
	if fit.short == 0 {
		has += fit.memory.KVCache
	}
	cost := costOn(m, wish, l)
	cache := times(model.Bytes(l.all()), cost.of(context))
	assumed = slices.Sorted(slices.Values(append(assumed, endsAssumed(m, l.stages())...)))
	return &GPUsTooSmallError{
		Model: m.ID, Node: node.Name, Nodes: l.nodes, GPUs: l.gpus(), Product: node.GPUs.Product, Slice: node.GPUs.Slice,
		Whole: room.nodes > 1 && !pipelines(m), Context: context,
		Need: fit.memory.Weights + fit.memory.Adapters + fit.memory.Overhead + cache, Has: has, Fits: adviceFor(m, wish, context, node.GPUs), Assumed: assumed,
	}
}

// largest is the layout over the most nodes and GPUs.
func largest(m model.Model, wish model.Wish, room room) layout {
	for nodes := room.nodes; nodes > 0; nodes-- {
		if all := layouts(m, wish, nodes, room.gpus); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return layout{nodes: 1, inside: 1, tensor: 1, copies: 1}
}

// sizes are the memories of GPUs that are sold, in GB, for advice.
func sizes() []int { return []int{16, 24, 32, 40, 48, 80, 94, 141, 180} }

// mostGPUs is how many GPUs a node has at the most, for advice.
const mostGPUs = 8

// advice are the combinations of GPUs on which a context fits: on one node, the fewest GPUs
// first, else on the fewest nodes.
func advice(m model.Model, wish model.Wish, context int) []Offer {
	wish.GPUs, wish.Copies = 0, 0
	var offers []Offer
	last := 0
	offer := func(l layout) {
		all := sizes()
		i := slices.IndexFunc(all, func(size int) bool { return fitGPUs(m, wish, model.Nominal(float64(size)), l).context >= context })
		if i >= 0 && (last == 0 || all[i] < last) {
			offers, last = append(offers, Offer{Nodes: l.nodes, GPUs: l.gpus(), Each: all[i]}), all[i]
		}
	}
	for _, l := range layouts(m, wish, 1, mostGPUs) {
		offer(l)
	}
	const enough = 2
	for nodes := 2; nodes <= mostNodes && len(offers) < enough && (len(offers) == 0 || offers[0].Nodes > 1); nodes++ {
		if all := layouts(m, wish, nodes, mostGPUs); len(all) > 0 {
			offer(all[len(all)-1])
		}
	}
	return offers
}

// withFullContext says where the whole context would fit.
func withFullContext(m model.Model, wish model.Wish, on model.GPUs) string {
	fits := adviceFor(m, wish, m.Context, on)
	if len(fits) == 0 {
		return fmt.Sprintf("the model's %d need more than 8 GPUs of any size", m.Context)
	}
	return fmt.Sprintf("the model's %d fit on %s", m.Context, offered(fits))
}

// SpreadError says that a model cannot be spread over the number of GPUs that was asked for.
type SpreadError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// Want is over how many GPUs each copy was to be spread, 0 where that was left open;
	// Copies is how many copies, GPUs how many the node has.
	Want, Copies, GPUs int
	// Possible is over how many a copy can be spread.
	Possible []int
}

// Error names the numbers that can be.
func (e *SpreadError) Error() string {
	if e.Copies > e.GPUs {
		return fmt.Sprintf("node %q has %d GPUs, and %d copies of model %q need one each: ask for fewer", e.Node, e.GPUs, e.Copies, e.Model)
	}
	what := fmt.Sprintf("model %q cannot be spread", e.Model)
	if e.Copies > 1 {
		what = fmt.Sprintf("each of %d copies of model %q cannot be spread", e.Copies, e.Model)
	}
	return fmt.Sprintf("%s over %d GPUs of node %q: its heads and the node allow %s",
		what, e.Want, e.Node, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(e.Possible)), ", "), "[]"))
}

// RequestsError says that a KV cache holds fewer requests than were asked for.
type RequestsError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// Nodes is on how many nodes the model is served, GPUs how many of each it can use,
	// Product what they are called.
	Nodes, GPUs int
	Product     string
	// Want is what was asked for, Holds what the cache holds, of requests of so many Tokens.
	Want, Holds, Tokens int
}

// Error says what would do.
func (e *RequestsError) Error() string {
	where := fmt.Sprintf("%d x %s of node %q", e.GPUs, e.Product, e.Node)
	if e.Nodes > 1 {
		where = fmt.Sprintf("%d like node %q together, each with %d x %s,", e.Nodes, e.Node, e.GPUs, e.Product)
	}
	return fmt.Sprintf("model %q on %s holds %d requests of %d tokens at once, and %d are asked for: it fits with a concurrency of %d or less, or on GPUs with more memory",
		e.Model, where, e.Holds, e.Tokens, e.Want, e.Holds)
}

// TooFewNodesError says that a model needs more nodes of a kind than there are.
type TooFewNodesError struct {
	// Model is the id of the model, Node the name of one of the nodes.
	Model, Node string
	// GPUs and Product are what of each node is used.
	GPUs    int
	Product string
	// Need is how many nodes serve the model together, Have names those that are there.
	Need int
	Have []string
	// Fits is what a single node would need to serve it alone; empty is none that is sold.
	Fits []Offer
}

// Error says how many are missing and what else would help.
func (e *TooFewNodesError) Error() string {
	missing := e.Need - len(e.Have)
	text := fmt.Sprintf("model %q needs %d nodes like %q with %d x %s each, and %d of %d are there: add %d more, which are picked up at once",
		e.Model, e.Need, e.Node, e.GPUs, e.Product, len(e.Have), e.Need, missing)
	if len(e.Fits) > 0 && e.Fits[0].Nodes == 1 {
		text += "; one node is enough with " + offered(e.Fits)
	}
	return text
}
