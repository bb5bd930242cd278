package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// The values of -o.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

// document is what -o json and -o yaml print. Its fields are a promise, described in
// docs/sizing.md: new ones may come, none goes or changes its meaning.
type document struct {
	// Notes are what stands above the table: whether a Workspace would be accepted, and what of
	// it has no effect.
	Notes    []string          `json:"notes,omitempty"`
	Model    documentModel     `json:"model"`
	Asked    documentAsked     `json:"asked"`
	Currency string            `json:"currency,omitempty"`
	Plans    []documentPlan    `json:"plans"`
	Refusals []documentRefusal `json:"refusals"`
	// Arithmetic is that of the first plan, with --explain.
	Arithmetic []documentTerm `json:"arithmetic,omitempty"`
}

type documentModel struct {
	ID        string `json:"id"`
	HubID     string `json:"hubID,omitempty"`
	Context   int    `json:"context"`
	HFBytes   int64  `json:"hfBytes,omitempty"`
	GGUFBytes int64  `json:"ggufBytes,omitempty"`
}

type documentAsked struct {
	Context     int `json:"context,omitempty"`
	Concurrency int `json:"concurrency,omitempty"`
}

type documentPlan struct {
	InstanceType string `json:"instanceType"`
	// NodeNames are those of nodes that are there and alike, with --own-nodes.
	NodeNames  []string `json:"nodeNames,omitempty"`
	Cloud      string   `json:"cloud"`
	Engine     string   `json:"engine"`
	Nodes      int      `json:"nodes"`
	GPUs       int      `json:"gpus"`
	GPUsOfNode int      `json:"gpusOfNode"`
	GPU        string   `json:"gpu,omitempty"`
	// GPUResource is what a pod asks for, GPUSlice the profile of a slice.
	GPUResource string              `json:"gpuResource,omitempty"`
	GPUSlice    string              `json:"gpuSlice,omitempty"`
	Parallelism documentParallelism `json:"parallelism"`
	Context     int                 `json:"context"`
	Concurrency int                 `json:"concurrency"`
	// CacheTokens and CacheRequests are what the KV cache holds, over all requests.
	CacheTokens   int            `json:"cacheTokens"`
	CacheRequests int            `json:"cacheRequests"`
	Memory        documentMemory `json:"memory"`
	// HeadroomBytes is what the plan leaves alone of the memory that Memory is part of.
	HeadroomBytes int64    `json:"headroomBytes"`
	Limit         string   `json:"limit"`
	LimitText     string   `json:"limitText"`
	PricePerHour  *float64 `json:"pricePerHour,omitempty"`
	Note          string   `json:"note,omitempty"`
	// Confidence is low where Assumed says what was bounded from above for lack of a source.
	Confidence string   `json:"confidence"`
	Assumed    []string `json:"assumed,omitempty"`
}

type documentParallelism struct {
	Tensor   int `json:"tensor"`
	Pipeline int `json:"pipeline"`
	Data     int `json:"data"`
}

type documentMemory struct {
	// Of is gpu or node: whose memory the parts are of.
	Of               string `json:"of"`
	WeightsBytes     int64  `json:"weightsBytes"`
	KVCacheBytes     int64  `json:"kvCacheBytes"`
	AdaptersBytes    int64  `json:"adaptersBytes"`
	PromptCacheBytes int64  `json:"promptCacheBytes"`
	OverheadBytes    int64  `json:"overheadBytes"`
	TotalBytes       int64  `json:"totalBytes"`
}

type documentRefusal struct {
	InstanceType string   `json:"instanceType"`
	NodeNames    []string `json:"nodeNames,omitempty"`
	Cloud        string   `json:"cloud"`
	Retired      bool     `json:"retired,omitempty"`
	Text         string   `json:"text"`
	Successors   []string `json:"successors,omitempty"`
}

type documentTerm struct {
	Name  string `json:"name"`
	How   string `json:"how"`
	Bytes int64  `json:"bytes,omitempty"`
	Count int    `json:"count,omitempty"`
	Unit  string `json:"unit,omitempty"`
}

func (o options) document(ask sizing.Ask, a sizing.Answer, notes []string) document {
	m := ask.Model
	d := document{
		Notes: notes,
		Model: documentModel{
			ID: m.ID, HubID: m.HubID, Context: m.Context,
			HFBytes: int64(m.Forms[model.FormHF].Size), GGUFBytes: int64(m.Forms[model.FormGGUF].Size),
		},
		Asked:    documentAsked{Context: o.context, Concurrency: o.concurrency},
		Currency: ask.Prices.Currency,
		Plans:    []documentPlan{}, Refusals: refused(a.Refusals),
	}
	for _, p := range a.Plans {
		d.Plans = append(d.Plans, documented(m, p))
	}
	if o.explain && len(a.Plans) > 0 {
		d.Arithmetic = terms(estimate.Serving(m, a.Plans[0].Wishes, a.Plans[0].Plan))
	}
	return d
}

func refused(all []sizing.Refusal) []documentRefusal {
	out := []documentRefusal{}
	for _, r := range all {
		of := r.Type.Name
		if len(r.Nodes) > 0 {
			of = r.Of
		}
		out = append(out, documentRefusal{
			InstanceType: of, NodeNames: r.Nodes, Cloud: r.Type.Cloud, Retired: r.Type.Retired, Text: r.Text, Successors: r.Successors,
		})
	}
	return out
}

func documented(m model.Model, p sizing.Plan) documentPlan {
	mem, of := memory(p), "node"
	d := documentPlan{
		InstanceType: p.Of, NodeNames: p.Place.Nodes, Cloud: p.Type.Cloud, Engine: p.Engine, Nodes: p.Plan.Nodes, GPUs: p.GPUs(), GPUsOfNode: p.Type.GPUs, GPU: p.Type.GPU,
		Parallelism: parallelism(p),
		Context:     p.Context, Concurrency: p.Slots, CacheTokens: p.Tokens, CacheRequests: p.Requests,
		HeadroomBytes: int64(p.Headroom), Limit: string(p.Limit), LimitText: p.LimitText(m), PricePerHour: p.Hour,
		Note: p.Text(p.Note), Confidence: string(p.Confidence), Assumed: p.Assumed,
	}
	if p.GPU != nil {
		of, d.GPUResource, d.GPUSlice = "gpu", model.ResourceOf(p.GPU.Resource), p.GPU.Slice
	}
	d.Memory = documentMemory{
		Of: of, WeightsBytes: int64(mem.Weights), KVCacheBytes: int64(mem.KVCache), AdaptersBytes: int64(mem.Adapters),
		PromptCacheBytes: int64(mem.PromptCache), OverheadBytes: int64(mem.Overhead + mem.Shared), TotalBytes: int64(mem.Total()),
	}
	return d
}

func parallelism(p sizing.Plan) documentParallelism {
	if p.GPU == nil {
		return documentParallelism{Tensor: 1, Pipeline: 1, Data: 1}
	}
	return documentParallelism{Tensor: p.GPU.Tensor, Pipeline: p.GPU.Stages, Data: p.GPU.Copies}
}

func terms(all []estimate.Term) []documentTerm {
	var out []documentTerm
	for _, t := range all {
		out = append(out, documentTerm{Name: t.Name, How: t.How, Bytes: int64(t.Bytes), Count: t.Count, Unit: t.Unit})
	}
	return out
}

func writeDocument(w io.Writer, format string, what any) error {
	raw, err := json.MarshalIndent(what, "", "  ")
	if err == nil && format == outputYAML {
		raw, err = yaml.JSONToYAML(raw)
	}
	if err != nil {
		return fmt.Errorf("write the plans: %w", err)
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(raw), "\n"))
	return err
}
