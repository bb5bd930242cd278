package operator

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"kaito.sh/kaito/api/v1beta1"
)

// tuningDescs are the metrics of running trainings: what status.tuning says, as numbers.
type tuningDescs struct {
	step, steps, loss, speed, remaining *prometheus.Desc
}

func newTuningDescs() tuningDescs {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kaito_tuning_"+name, help, []string{"namespace", "workspace"}, nil)
	}
	return tuningDescs{
		step:      desc("step", "Finished steps of the newest run."),
		steps:     desc("steps", "All steps of the newest run."),
		loss:      desc("loss", "Newest training loss of the newest run."),
		speed:     desc("tokens_per_second", "Speed of the newest run."),
		remaining: desc("remaining_seconds", "Estimated time to the end of the training."),
	}
}

func (d tuningDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.step, d.steps, d.loss, d.speed, d.remaining} {
		to <- one
	}
}

// collect tells of one Workspace what it knows.
func (d tuningDescs) collect(ws *v1beta1.Workspace, to chan<- prometheus.Metric) {
	s := ws.Status.Tuning
	if s == nil {
		return
	}
	for desc, value := range map[*prometheus.Desc]*int32{d.step: s.Step, d.steps: s.TotalSteps, d.speed: s.TokensPerSecond, d.remaining: s.RemainingSeconds} {
		if value != nil {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(*value), ws.Namespace, ws.Name)
		}
	}
	if loss, err := strconv.ParseFloat(s.Loss, 64); err == nil {
		to <- prometheus.MustNewConstMetric(d.loss, prometheus.GaugeValue, loss, ws.Namespace, ws.Name)
	}
}
