package sizing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/near"
)

// Prices are what machines cost for an hour, as a user has written down.
type Prices struct {
	// Currency is what the prices are in, or empty.
	Currency string
	perHour  map[string]float64
	names    []string
}

// Of is the price of a type for an hour.
func (p Prices) Of(name string) (float64, bool) {
	price, ok := p.perHour[strings.ToLower(name)]
	return price, ok
}

// Known says whether there are any prices.
func (p Prices) Known() bool { return len(p.perHour) > 0 }

// Unknown are the names in the file that no type of a table has, sorted, each with a near
// name where there is one.
func (p Prices) Unknown(types *instance.Table) []string {
	var all []string
	for _, name := range p.names {
		if _, ok := types.Lookup(name); ok {
			continue
		}
		if close := types.Near(name); len(close) > 0 {
			name += " (did you mean " + close[0] + "?)"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// PriceError says everything that is wrong in a file of prices.
type PriceError struct {
	// File is its name, Problems are sorted by line.
	File     string
	Problems []PriceProblem
}

// PriceProblem is one thing that is wrong.
type PriceProblem struct {
	// Line is where, counted from 1; 0 is the whole file.
	Line int
	// Text begins with the field and says what to write instead.
	Text string
}

// Error names file, line and field of the first problems, and how many more there are.
func (e *PriceError) Error() string {
	const most = 3
	var parts []string
	for _, p := range e.Problems[:min(most, len(e.Problems))] {
		text := p.Text
		if p.Line > 0 {
			text = fmt.Sprintf("line %d, %s", p.Line, p.Text)
		}
		parts = append(parts, text)
	}
	if more := len(e.Problems) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("price file %q: %s", e.File, strings.Join(parts, "; "))
}

// mostPrice is more than any machine costs for an hour, in any currency.
const mostPrice = 1e9

// ReadPrices reads a file of prices: a map in YAML with the price of an hour by type below
// perHour, and the currency. Its error is a *PriceError.
func ReadPrices(file string, data []byte) (Prices, error) {
	r := &priceReader{prices: Prices{perHour: map[string]float64{}}}
	var document yaml.Node
	if err := unmarshal(data, &document); err != nil {
		return Prices{}, &PriceError{File: file, Problems: []PriceProblem{{Text: "is no YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}}}
	}
	switch {
	case len(document.Content) == 0:
		r.problems = append(r.problems, PriceProblem{Text: "is empty: write perHour and below it TYPE: PRICE"})
	case document.Content[0].Kind != yaml.MappingNode:
		r.problem(document.Content[0], "the file", "is no map: write perHour and below it TYPE: PRICE")
	default:
		r.top(document.Content[0])
	}
	if len(r.problems) == 0 && len(r.prices.perHour) == 0 {
		r.problems = append(r.problems, PriceProblem{Text: "perHour is missing or empty: write TYPE: PRICE below it"})
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b PriceProblem) int { return cmp.Compare(a.Line, b.Line) })
		return Prices{}, &PriceError{File: file, Problems: r.problems}
	}
	r.prices.names = slices.Sorted(maps.Keys(r.named))
	return r.prices, nil
}

// unmarshal turns a panic of the parser into an error: the file is a stranger's.
func unmarshal(data []byte, into *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the parser cannot read it")
		}
	}()
	return yaml.Unmarshal(data, into)
}

type priceReader struct {
	prices   Prices
	named    map[string]bool
	problems []PriceProblem
}

func (r *priceReader) problem(n *yaml.Node, field, format string, args ...any) {
	r.problems = append(r.problems, PriceProblem{Line: n.Line, Text: field + " " + fmt.Sprintf(format, args...)})
}

func (r *priceReader) top(root *yaml.Node) {
	fields := []string{"currency", "perHour"}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch {
		case key.Value == "currency" && value.Kind == yaml.ScalarNode && plain(value.Value):
			r.prices.Currency = value.Value
		case key.Value == "currency":
			r.problem(value, "currency", "is no name of at most 8 letters: write USD")
		case key.Value == "perHour" && value.Kind == yaml.MappingNode:
			r.all(value)
		case key.Value == "perHour":
			r.problem(value, "perHour", "is no map: write TYPE: PRICE below it")
		default:
			hint := ""
			if close := near.Names(key.Value, fields); len(close) > 0 {
				hint = ", did you mean " + close[0] + "?"
			}
			r.problem(key, strconv.Quote(key.Value), "is no field%s: there are currency and perHour", hint)
		}
	}
}

// plain is a name that does not tear a table.
func plain(text string) bool {
	const most = 8
	if text == "" || len(text) > most {
		return false
	}
	return strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz") == ""
}

func (r *priceReader) all(m *yaml.Node) {
	r.named = map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		field := "perHour." + strings.Trim(strconv.Quote(key.Value), `"`)
		if _, twice := r.prices.Of(key.Value); twice {
			r.problem(key, field, "stands there twice: leave one")
			continue
		}
		price, err := strconv.ParseFloat(value.Value, 64)
		switch {
		case key.Kind != yaml.ScalarNode || key.Value == "":
			r.problem(key, "perHour", "has a key that is no name of a type: write TYPE: PRICE")
		case value.Kind != yaml.ScalarNode || err != nil || math.IsNaN(price):
			r.problem(value, field, "is %s, which is no number: write the price of an hour, such as 3.67", strconv.Quote(value.Value))
		case price < 0:
			r.problem(value, field, "is %s: a price is not negative", value.Value)
		case price > mostPrice:
			r.problem(value, field, "is %s: a price is at most %.0f", value.Value, mostPrice)
		default:
			r.prices.perHour[strings.ToLower(key.Value)], r.named[key.Value] = price, true
		}
	}
}
