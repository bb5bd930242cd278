package sizing_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/sizing"
)

func TestPricesAreRead(t *testing.T) {
	t.Parallel()
	p, err := sizing.ReadPrices("p", []byte("currency: EUR\nperHour:\n  Standard_NC24ads_A100_v4: 3.67\n  mine: 0\n  g5.xlrge: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if price, ok := p.Of("standard_nc24ads_a100_V4"); price != 3.67 || !ok || p.Currency != "EUR" {
		t.Errorf("read %v, %v, %q", price, ok, p.Currency)
	}
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Unknown(types), "; "); !strings.HasPrefix(got, "g5.xlrge (did you mean g5.") || !strings.HasSuffix(got, "; mine") {
		t.Errorf("unknown are %q", got)
	}
}

func TestBadPrices(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":            {"", `price file "p": is empty: write perHour and below it TYPE: PRICE`},
		"a list":             {"- 1", "line 1, the file is no map"},
		"no YAML":            {"a: [", "is no YAML: "},
		"no prices":          {"currency: USD", "perHour is missing or empty"},
		"an empty map":       {"perHour: {}", "perHour is missing or empty"},
		"a word":             {"perHour:\n  a: cheap", `line 2, perHour.a is "cheap", which is no number: write the price of an hour, such as 3.67`},
		"no value":           {"perHour:\n  a:", `line 2, perHour.a is "", which is no number`},
		"not a number":       {"perHour: {a: NaN}", `perHour.a is "NaN", which is no number`},
		"infinite":           {"perHour: {a: Inf}", "perHour.a is Inf: a price is at most 1000000000"},
		"negative":           {"perHour:\n\n  a: -0.5", "line 3, perHour.a is -0.5: a price is not negative"},
		"twice":              {"perHour:\n  a: 1\n  A: 2", "line 3, perHour.A stands there twice: leave one"},
		"a map as a price":   {"perHour: {a: {b: 1}}", "perHour.a is \"\", which is no number"},
		"a list of prices":   {"perHour: [1]", "line 1, perHour is no map"},
		"a field with typo":  {"perhour: {a: 1}", `line 1, "perhour" is no field, did you mean perHour?`},
		"an odd currency":    {"currency: a b\nperHour: {a: 1}", "line 1, currency is no name of at most 8 letters"},
		"many mistakes":      {"perHour: {a: x, b: x, c: x, d: x, e: x}", "; and 2 more"},
		"a name that breaks": {"perHour: {\"a\\nb\": x}", `perHour.a\nb is "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sizing.ReadPrices("p", []byte(tc.text))
			var wrong *sizing.PriceError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzPrices(f *testing.F) {
	for _, seed := range []string{
		"currency: USD\nperHour:\n  g5.xlarge: 1.01\n", "perHour: {a: -1}", "perHour: &a {b: *a}", "a: !!binary x", "perHour: {? [1] : 2}", "<<: {perHour: {a: 1}}", "perHour: {a: 1e400}", "---\n---\n",
	} {
		f.Add([]byte(seed))
	}
	types, err := instance.Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := sizing.ReadPrices("p", data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		p.Unknown(types)
		if !p.Known() {
			t.Error("neither prices nor an error")
		}
		for _, of := range types.All() {
			if price, ok := p.Of(of.Name); ok && (math.IsNaN(price) || price < 0 || math.IsInf(price, 0)) {
				t.Errorf("the price of %s is %v", of.Name, price)
			}
		}
	})
}
