package tune

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Sizes of the chart, in the units of its viewBox.
const (
	chartWidth, chartHeight   = 760.0, 300.0
	chartLeft, chartTop       = 56.0, 12.0
	chartRight, chartBottom   = 12.0, 36.0
	ticksAcross, ticksUpwards = 6, 5
)

// chart is a loss curve, ready to be drawn as SVG.
type chart struct {
	Width, Height            float64
	Left, Right, Top, Bottom float64
	Line                     string
	Dots                     []dot
	Across, Upwards          []tick
}

// dot is one point with its words.
type dot struct {
	X, Y  string
	Title string
}

// tick is a line of the grid with its number.
type tick struct{ At, Text string }

// chartOf is nil for a curve of fewer than two points.
func chartOf(curve []point) *chart {
	if len(curve) < 2 {
		return nil
	}
	s := spanOf(curve)
	c := &chart{
		Width: chartWidth, Height: chartHeight,
		Left: chartLeft, Right: chartWidth - chartRight, Top: chartTop, Bottom: chartHeight - chartBottom,
	}
	up, across := round(s.low, s.high, ticksUpwards), round(s.first, s.last, ticksAcross)
	// The field reaches from a round number to a round number, so that the curve touches no edge.
	s.low, s.high = min(s.low, up[0]), max(s.high, up[len(up)-1])
	place := func(p point) (x, y string) {
		fx, fy := s.at(p, c.Right-c.Left, c.Bottom-c.Top)
		return short(c.Left + fx), short(c.Top + fy)
	}
	var line strings.Builder
	for i, p := range curve {
		x, y := place(p)
		line.WriteString(map[bool]string{true: "M", false: " L"}[i == 0] + x + " " + y)
		c.Dots = append(c.Dots, dot{x, y, fmt.Sprintf("step %d: loss %s", int(p.step), amount(p.loss))})
	}
	c.Line = line.String()
	for _, v := range up {
		_, y := place(point{s.first, v})
		c.Upwards = append(c.Upwards, tick{y, strconv.FormatFloat(v, 'g', 6, 64)})
	}
	for _, v := range across {
		if v < s.first || v > s.last || v != math.Trunc(v) {
			continue
		}
		x, _ := place(point{v, s.low})
		c.Across = append(c.Across, tick{x, strconv.Itoa(int(v))})
	}
	return c
}

// round are numbers that people count in, from one below low to one above high.
func round(low, high float64, about int) []float64 {
	if high <= low {
		low, high = low-0.5, high+0.5
	}
	raw := (high - low) / float64(about)
	base := math.Pow(10, math.Floor(math.Log10(raw)))
	by := 10 * base
	for _, m := range []float64{1, 2, 5} {
		if m*base >= raw {
			by = m * base
			break
		}
	}
	var all []float64
	for k := math.Floor(low / by); k <= math.Ceil(high/by); k++ {
		all = append(all, math.Round(k*by*1e9)/1e9)
	}
	return all
}

func short(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
