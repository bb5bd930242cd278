package plan

import (
	"fmt"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// trainingDocument is what -o json and -o yaml print of a tuning.
type trainingDocument struct {
	// Notes are what stands above the table.
	Notes    []string          `json:"notes,omitempty"`
	Model    string            `json:"model"`
	Currency string            `json:"currency,omitempty"`
	Plans    []trainingPlan    `json:"trainings"`
	Refusals []documentRefusal `json:"refusals"`
	// Arithmetic is that of the first plan, with --explain.
	Arithmetic []documentTerm `json:"arithmetic,omitempty"`
}

type trainingPlan struct {
	InstanceType string `json:"instanceType"`
	// NodeNames are those of nodes that are there and alike, with --own-nodes.
	NodeNames []string `json:"nodeNames,omitempty"`
	Cloud     string   `json:"cloud"`
	GPUs      int      `json:"gpus"`
	GPU       string   `json:"gpu,omitempty"`
	Bits      int      `json:"bits"`
	Batch     int      `json:"batch"`
	// Length is the longest row in tokens that fits, AskedLength what the settings allow.
	Length      int  `json:"length"`
	AskedLength int  `json:"askedLength"`
	Recompute   bool `json:"recompute"`
	Memory      struct {
		Of               string `json:"of"`
		WeightsBytes     int64  `json:"weightsBytes"`
		AdapterBytes     int64  `json:"adapterBytes"`
		ActivationsBytes int64  `json:"activationsBytes"`
		ScoresBytes      int64  `json:"scoresBytes"`
		OverheadBytes    int64  `json:"overheadBytes"`
		TotalBytes       int64  `json:"totalBytes"`
	} `json:"memory"`
	HeadroomBytes int64    `json:"headroomBytes"`
	TooLong       string   `json:"tooLong,omitempty"`
	PricePerHour  *float64 `json:"pricePerHour,omitempty"`
	Note          string   `json:"note,omitempty"`
}

// trainMemory is that of what is scarce.
func trainMemory(p sizing.TrainPlan) (memory model.TuneMemory, of string) {
	if p.GPU != nil {
		return p.GPU.Memory, "gpu"
	}
	return p.Memory, "node"
}

func (o options) writeTraining(sh shell.Shell, name string, read sizing.Reading, a sizing.TrainAnswer, prices sizing.Prices, notes []string) error {
	if o.output != outputTable {
		if err := writeDocument(sh.Out, o.output, o.trainingDocument(read, a, prices, notes)); err != nil {
			return err
		}
	} else {
		p := &page{}
		for _, note := range notes {
			p.line(2, "%s", note)
		}
		p.trainings(read, a, prices, o.all)
		if o.explain && len(a.Plans) > 0 {
			p.WriteString("\n")
			p.line(2, "How the training on %s comes about", a.Plans[0].Type.Name)
			p.terms(estimate.Training(read.Model, a.Plans[0].TunePlan))
		}
		if err := p.write(sh.Out); err != nil {
			return err
		}
	}
	switch {
	case len(a.Plans) > 0 || unjudged(read):
		return nil
	case read.Type != nil && len(a.Refusals) == 1:
		return &RefusedError{Name: name, Reason: a.Refusals[0].Reason, Message: a.Refusals[0].Text}
	}
	return fmt.Errorf("training model %q fits none of the %s", read.Model.ID, o.machines())
}

// trainings are the table of a tuning.
func (p *page) trainings(read sizing.Reading, a sizing.TrainAnswer, prices sizing.Prices, whole bool) {
	p.line(2, "Training of %s: batches of %s, each of at most %d tokens", read.Model.ID, many(read.Training.Load.Batch, "row"), read.Training.Load.Length)
	if len(a.Plans) > 0 {
		p.trainingTable(a.Plans, prices)
	}
	p.refusals(a.Refusals, whole)
}

// trainingTable has a row for each plan, and below it what a plan says of itself.
func (p *page) trainingTable(plans []sizing.TrainPlan, prices sizing.Prices) {
	p.line(2, "%s, best first. Memory in GiB: of the GPU, or of the node where none is", many(len(plans), "plan"))
	p.WriteString("\n")
	rows := [][]string{{title(plans[0].Place), "GPUS", "BITS", "ROWS", "TOKENS", "MODEL", "ADAPTER", "ACTIV.", "SCORES", "OTHER", "FREE"}}
	if prices.Known() {
		rows[0] = append(rows[0], "PRICE/H")
	}
	for _, plan := range plans {
		m, _ := trainMemory(plan)
		row := []string{
			called(plan.Place), strconv.Itoa(plan.GPUs()), strconv.Itoa(plan.Load.Bits), strconv.Itoa(plan.Load.Batch), strconv.Itoa(plan.Load.Length),
			gib(m.Weights), gib(m.Adapter), gib(m.Activations), gib(m.Logits), gib(m.Overhead + m.Shared), gib(plan.Headroom),
		}
		if prices.Known() {
			hour := "-"
			if plan.Hour != nil {
				hour = price(*plan.Hour)
			}
			row = append(row, hour)
		}
		rows = append(rows, row)
	}
	p.grid(rows, func(column int) bool { return column == 0 })
	var long, notes []remark
	for _, plan := range plans {
		if plan.TooLong != "" {
			long = append(long, remark{at: plan.Place, text: fmt.Sprintf("rows of up to %d tokens fit. %s", plan.Load.Length, plan.TooLong)})
		}
		if plan.Note != "" {
			notes = append(notes, remark{at: plan.Place, text: plan.Text(plan.Note)})
		}
	}
	if len(long)+len(notes) > 0 {
		p.WriteString("\n")
	}
	p.remarks("On", long)
	p.remarks("Note on", notes)
}

// byFlags says in the flags of --tune what a training's settings are called elsewhere.
func byFlags(a sizing.TrainAnswer) sizing.TrainAnswer {
	words := strings.NewReplacer(
		"set TrainingArguments.max_length to ", "say --length ",
		"set TrainingArguments.per_device_train_batch_size to ", "say --batch ",
		"create a Workspace with tuning.method qlora", "say --tune qlora",
	)
	for i := range a.Plans {
		a.Plans[i].TooLong = words.Replace(a.Plans[i].TooLong)
	}
	for i := range a.Refusals {
		a.Refusals[i].Text = words.Replace(a.Refusals[i].Text)
	}
	return a
}

func (o options) trainingDocument(read sizing.Reading, a sizing.TrainAnswer, prices sizing.Prices, notes []string) trainingDocument {
	d := trainingDocument{Notes: notes, Model: read.Model.ID, Currency: prices.Currency, Plans: []trainingPlan{}, Refusals: refused(a.Refusals)}
	for _, p := range a.Plans {
		m, of := trainMemory(p)
		one := trainingPlan{
			InstanceType: p.Of, NodeNames: p.Nodes, Cloud: p.Type.Cloud, GPUs: p.GPUs(), GPU: p.Type.GPU, Bits: p.Load.Bits, Batch: p.Load.Batch,
			Length: p.Load.Length, AskedLength: p.Asked, Recompute: p.Recompute, HeadroomBytes: int64(p.Headroom),
			TooLong: p.TooLong, PricePerHour: p.Hour, Note: p.Text(p.Note),
		}
		one.Memory.Of = of
		one.Memory.WeightsBytes, one.Memory.AdapterBytes, one.Memory.ActivationsBytes = int64(m.Weights), int64(m.Adapter), int64(m.Activations)
		one.Memory.ScoresBytes, one.Memory.OverheadBytes, one.Memory.TotalBytes = int64(m.Logits), int64(m.Overhead+m.Shared), int64(m.Total())
		d.Plans = append(d.Plans, one)
	}
	if o.explain && len(a.Plans) > 0 {
		d.Arithmetic = terms(estimate.Training(read.Model, a.Plans[0].TunePlan))
	}
	return d
}
