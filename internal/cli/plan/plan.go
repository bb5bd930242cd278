// Package plan is `kaito plan`: on which machines a model runs, and how, before anything
// is created. It needs no cluster and no network.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// options are the flags and arguments.
type options struct {
	model, file          string
	types                []string
	context, concurrency int
	prices               string
	catalog              string
	output               string
	explain, manifest    bool
	// all shows all that is not offered.
	all bool
	// tune is a method of training, or empty; batch and length are what it trains with, 0
	// for what it does by itself.
	tune          string
	batch, length int
	// own plans for the nodes of a cluster, which selector narrows down.
	own                               bool
	selector, kubeconfig, kubeContext string
}

// most is more than any model reaches, for --context and --length.
const most = 1 << 24

// mostBatch is more rows than any machine trains with in one pass.
const mostBatch = 1 << 12

// New is `kaito plan`.
func New(sh shell.Shell) *cobra.Command {
	o := options{output: outputTable}
	cmd := &cobra.Command{
		Use:   "plan MODEL | -f FILE",
		Short: "Say on which machines a model runs and how, before anything is created",
		Long: `Say on which instance types a model runs and how: GPUs, context, requests at once,
memory by part, and what limits it; and of each type that does not hold the model why, and
what would. Plans are computed as the operator computes them, and nothing is asked of a
cluster or a network, unless --own-nodes asks a cluster what its nodes are.

With -f a Workspace is read from a manifest, with the ConfigMap beside it that it names: the
answer is the plan that the operator would make of it, or its refusal in the same words.

The best plan comes first: the one that holds the whole context on the machine with the fewest
GPUs and the least memory, or the cheapest of those where --prices names a file:

  currency: USD
  perHour:
    Standard_NC24ads_A100_v4: 3.67
    g5.xlarge: 1.01`,
		Example: shell.Examples(sh.Name, `
			# All instance types that are known
			KAITO plan phi-4-mini-instruct

			# A context of 8192 tokens and room for 16 usual requests at once, on one of two types, the cheaper first
			KAITO plan llama-3.1-8b-instruct --context 8192 --concurrency 16 \
			  --instance-types Standard_NC24ads_A100_v4,Standard_NV36ads_A10_v5 --prices prices.yaml

			# The arithmetic of the best plan, line by line, and its Workspace
			KAITO plan phi-4-mini-instruct --explain
			KAITO plan phi-4-mini-instruct --manifest > workspace.yaml

			# Training an adapter, with rows of up to 4096 tokens
			KAITO plan phi-4-mini-instruct --tune qlora --batch 2 --length 4096

			# The nodes that there are
			KAITO plan llama-3.1-8b-instruct --own-nodes --selector accelerator=nvidia

			# What the operator would make of a manifest
			KAITO plan -f workspace.yaml`),
		Args: shell.AtMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.model = args[0]
			}
			if err := o.check(cmd); err != nil {
				return err
			}
			return o.run(cmd, sh)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "`FILE` with a Workspace to plan for, instead of MODEL")
	flags.StringSliceVar(&o.types, "instance-types", nil, "`NAMES` of the types to plan for, with commas (default: all that are known)")
	flags.StringVar(&o.catalog, "catalog", "", "`FILE` or folder with catalog files of models of your own, as kaito model import writes them")
	flags.StringVar(&o.prices, "prices", "", "`FILE` with the price of an hour by type; the cheapest plan comes first")
	flags.StringVarP(&o.output, "output", "o", o.output, "`FORMAT`: table, json or yaml")
	flags.BoolVar(&o.explain, "explain", false, "print the arithmetic of the best plan as well")
	flags.StringVar(&o.tune, "tune", "", "plan a training by `METHOD`, lora or qlora, instead of a server")
	flags.BoolVar(&o.all, "all", false, "say of all that is not offered why, not of the first few")
	o.bindAmounts(flags)
	o.bindOwn(flags)
	flags.BoolVar(&o.manifest, "manifest", false, "print the Workspace of the best plan, and nothing else")
	return cmd
}

func (o options) check(cmd *cobra.Command) error {
	if err := cmp.Or(o.checkSource(cmd), o.checkNumbers(cmd), o.checkTune(cmd), o.checkOwn(cmd)); err != nil {
		return err
	}
	flags := cmd.Flags()
	switch {
	case o.file != "" && (o.manifest || flags.Changed("context") || flags.Changed("concurrency")):
		return shell.Usage(cmd, "the Workspace of -f says itself what it asks for: leave out --manifest, --context and --concurrency")
	case !slices.Contains([]string{outputTable, outputJSON, outputYAML}, o.output):
		return shell.Usage(cmd, "-o %s is not one of table, json and yaml", o.output)
	case o.manifest && (o.explain || flags.Changed("output")):
		return shell.Usage(cmd, "--manifest prints the Workspace alone: leave out -o and --explain")
	}
	return nil
}

func (o options) checkSource(cmd *cobra.Command) error {
	switch {
	case o.model == "" && o.file == "":
		return shell.Usage(cmd, "MODEL is missing")
	case o.model != "" && o.file != "":
		return shell.Usage(cmd, "MODEL and -f exclude each other")
	}
	return nil
}

func (o options) checkNumbers(cmd *cobra.Command) error {
	flags := cmd.Flags()
	switch {
	case flags.Changed("context") && (o.context < 1 || o.context > most):
		return shell.Usage(cmd, "--context %d is not a number of tokens from 1 to %d", o.context, most)
	case flags.Changed("concurrency") && (o.concurrency < 1 || o.concurrency > sizing.MostRequests):
		return shell.Usage(cmd, "--concurrency %d is not a number of requests from 1 to %d", o.concurrency, sizing.MostRequests)
	}
	return nil
}

func (o options) checkTune(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if !flags.Changed("tune") {
		if flags.Changed("batch") || flags.Changed("length") {
			return shell.Usage(cmd, "--batch and --length are those of a training: add --tune lora or --tune qlora")
		}
		return nil
	}
	switch {
	case !slices.Contains([]string{"lora", "qlora"}, strings.ToLower(o.tune)):
		return shell.Usage(cmd, "--tune %q is not one of lora and qlora", o.tune)
	case o.file != "":
		return shell.Usage(cmd, "the Workspace of -f says itself how it is tuned: leave out --tune, --batch and --length")
	case flags.Changed("context") || flags.Changed("concurrency") || o.manifest:
		return shell.Usage(cmd, "--context, --concurrency and --manifest are those of a server: leave them out with --tune")
	}
	return o.checkRows(cmd)
}

func (o options) checkRows(cmd *cobra.Command) error {
	flags := cmd.Flags()
	switch {
	case flags.Changed("batch") && (o.batch < 1 || o.batch > mostBatch):
		return shell.Usage(cmd, "--batch %d is not a number of rows from 1 to %d", o.batch, mostBatch)
	case flags.Changed("length") && (o.length < sizing.ShortestRow || o.length > most):
		return shell.Usage(cmd, "--length %d is not a number of tokens from %d to %d", o.length, sizing.ShortestRow, most)
	}
	return nil
}

// facts are what the program knows.
type facts struct {
	models *catalog.Catalog
	types  *instance.Table
}

func load() (facts, error) {
	models, err := catalog.LoadLines(shipped.Lines)
	if err != nil {
		return facts{}, fmt.Errorf("read the catalog: %w", err)
	}
	types, err := instance.Load()
	if err != nil {
		return facts{}, err
	}
	return facts{models, types}, nil
}

// model finds one by what a user calls it.
func (f facts) model(name string) (model.Model, error) {
	found, ok := f.models.Lookup(name)
	if !ok {
		return found, unknownModel(name, f.models.Near(name))
	}
	return engine.Served(found), nil
}

func (o options) run(cmd *cobra.Command, sh shell.Shell) error {
	known, err := load()
	if err != nil {
		return err
	}
	if o.catalog != "" {
		if known.models, err = withOwn(known.models, o.catalog); err != nil {
			return err
		}
	}
	if o.file != "" {
		return o.runFile(cmd, sh, known)
	}
	if o.tune != "" {
		return o.runTuning(cmd, sh, known)
	}
	ask, err := o.ask(cmd, known)
	if err != nil {
		return err
	}
	if o.prices != "" {
		if ask.Prices, err = readPrices(o.prices); err != nil {
			return err
		}
	}
	own, err := o.fill(cmd, sh, known, o.selector, &ask.Types, &ask.Nodes)
	if err != nil {
		return err
	}
	answer := sizing.Serve(ask, known.types)
	if err := o.write(sh, known, ask, answer, own.notes()...); err != nil {
		return err
	}
	if len(answer.Plans) == 0 {
		return fmt.Errorf("model %q fits none of the %s as it is asked for", ask.Model.ID, o.machines())
	}
	return nil
}

// write prints an answer in the form that was asked for. Where a manifest was, and there
// is none, the refusals say why, apart from it.
func (o options) write(sh shell.Shell, known facts, ask sizing.Ask, answer sizing.Answer, notes ...string) error {
	out := sh.Out
	switch {
	case o.manifest && len(answer.Plans) > 0:
		return o.writeManifest(out, ask.Model, answer.Plans[0])
	case o.manifest:
		out = sh.Err
	case o.output != outputTable:
		return writeDocument(out, o.output, o.document(ask, answer, notes))
	}
	page := &page{}
	for _, note := range notes {
		page.line(2, "%s", note)
	}
	page.answer(ask, answer, known.types, o.all)
	if o.explain && len(answer.Plans) > 0 {
		page.arithmetic(ask.Model, answer.Plans[0])
	}
	return page.write(out)
}

// ask looks up what the names mean.
func (o options) ask(cmd *cobra.Command, known facts) (sizing.Ask, error) {
	ask := sizing.Ask{Wishes: sizing.Wishes(o.context, o.concurrency)}
	found, err := known.model(o.model)
	if err != nil {
		return ask, err
	}
	if o.context > found.Context {
		return ask, shell.Usage(cmd, "--context %d is more than the %d of model %q: ask for less", o.context, found.Context, found.ID)
	}
	ask.Model = found
	return ask, nil
}

// machines are what is planned for, in a word.
func (o options) machines() string {
	if o.own {
		return "nodes"
	}
	return "instance types"
}

// fill looks up the types that were named, or asks the cluster for its nodes.
func (o options) fill(cmd *cobra.Command, sh shell.Shell, known facts, selector string, types *[]instance.Type, nodes *[]sizing.Place) (own ownNodes, err error) {
	if !o.own {
		*types, err = pick(known.types, o.types)
		return own, err
	}
	own, err = o.readNodes(cmd.Context(), sh, selector, known.types)
	*nodes = own.places
	return own, err
}

// pick are the types of some names, each once, or all.
func pick(types *instance.Table, names []string) ([]instance.Type, error) {
	if len(names) == 0 {
		return types.All(), nil
	}
	var picked []instance.Type
	var wrong []error
	for _, name := range names {
		name = strings.TrimSpace(name)
		of, ok := types.Lookup(name)
		switch {
		case !ok:
			wrong = append(wrong, unknown("instance type", name, types.Near(name), "those of kaito plan MODEL without --instance-types"))
		case !slices.ContainsFunc(picked, func(p instance.Type) bool { return p.Name == of.Name }):
			picked = append(picked, of)
		}
	}
	if len(wrong) > 0 {
		var texts []string
		for _, err := range wrong {
			texts = append(texts, err.Error())
		}
		return nil, errors.New(strings.Join(texts, "; "))
	}
	return picked, nil
}

// unknown names what may be meant, or all there is.
func unknown(what, name string, near []string, all string) error {
	if len(near) > 0 {
		return fmt.Errorf("no %s is called %q, did you mean %s?", what, name, strings.Join(near, " or "))
	}
	return fmt.Errorf("no %s is called %q; there are %s", what, name, all)
}

// unknownModel names what may be meant, and where models are that no catalog has.
func unknownModel(name string, near []string) error {
	close := ""
	if len(near) > 0 {
		close = ", did you mean " + strings.Join(near, " or ") + "?"
	}
	which := "OWNER/NAME"
	if catalog.IsHubID(name) {
		which = name
	}
	return fmt.Errorf("no model is called %q%s; `kaito model list` says which are known; of another one `kaito model import %s` writes what it is, which --catalog FILE plans", name, close, which)
}

// mostFile is more than any file of prices or manifest has.
const mostFile = 4 << 20

// readFile reads a small file.
func readFile(what, name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no %s %q", what, name)
	case err != nil:
		return nil, fmt.Errorf("look at the %s: %w", what, err)
	case info.IsDir():
		return nil, fmt.Errorf("the %s %q is a folder", what, name)
	case info.Size() > mostFile:
		return nil, fmt.Errorf("the %s %q has %s: more than %s is no %s", what, name, shell.Bytes(info.Size()), shell.Bytes(mostFile), what)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	return data, nil
}

func readPrices(name string) (sizing.Prices, error) {
	data, err := readFile("price file", name)
	if err != nil {
		return sizing.Prices{}, err
	}
	return sizing.ReadPrices(name, data)
}
