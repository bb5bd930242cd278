package state

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// qualified is a label or taint key as Kubernetes takes it; value is its value.
var (
	qualified = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	value     = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
)

// effects are what a taint can do.
func effects() []string { return []string{"NoSchedule", "PreferNoSchedule", "NoExecute"} }

// unit is a suffix of a quantity.
type unit struct {
	suffix string
	factor float64
}

// units are tried in this order; the last is bytes.
func units() []unit {
	return []unit{
		{"Ki", 1 << 10},
		{"Mi", 1 << 20},
		{"Gi", 1 << 30},
		{"Ti", 1 << 40},
		{"k", 1e3},
		{"M", 1e6},
		{"G", 1e9},
		{"T", 1e12},
		{"", 1},
	}
}

// ParseLabels reads k=v pairs.
func ParseLabels(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, found := strings.Cut(p, "=")
		if !found || !qualified.MatchString(k) || !value.MatchString(v) {
			return nil, fmt.Errorf("label %q: write it as key=value, for example sku=gpu", p)
		}
		out[k] = v
	}
	return out, nil
}

// ParseTaint reads key=value:Effect or key:Effect.
func ParseTaint(s string) (Taint, error) {
	kv, effect, _ := strings.Cut(s, ":")
	k, v, _ := strings.Cut(kv, "=")
	if !slices.Contains(effects(), effect) || !qualified.MatchString(k) || !value.MatchString(v) {
		return Taint{}, fmt.Errorf("taint %q: write it as key=value:Effect with Effect one of %s, for example sku=gpu:NoSchedule", s, strings.Join(effects(), ", "))
	}
	return Taint{Key: k, Value: v, Effect: effect}, nil
}

// ParseCPU reads a number of CPUs ("2", "0.5", "500m") as thousandths.
func ParseCPU(s string) (int64, error) {
	number, factor := s, 1000.0
	if m, milli := strings.CutSuffix(s, "m"); milli {
		number, factor = m, 1
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f > 0) || f > 1e6 {
		return 0, fmt.Errorf("cpu %q: write a number of CPUs such as 2, 0.5 or 500m", s)
	}
	return int64(math.Ceil(f * factor)), nil
}

// ParseMemory reads a quantity ("4Gi", "512Mi", "2G", bytes) as bytes.
func ParseMemory(s string) (int64, error) {
	for _, u := range units() {
		number, has := strings.CutSuffix(s, u.suffix)
		if !has {
			continue
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || !(f > 0) || f*u.factor > math.MaxInt64/2 {
			break
		}
		return int64(f * u.factor), nil
	}
	return 0, fmt.Errorf("memory %q: write a quantity such as 4Gi, 512Mi or 2G", s)
}
