package tune

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"kaito.sh/kaito/api/v1beta1"
)

// point is one point of a loss curve.
type point struct{ step, loss float64 }

// points reads the curve of a status; what is no number is left out.
func points(all []v1beta1.LossPoint) []point {
	var read []point
	for _, p := range all {
		loss, err := strconv.ParseFloat(p.Loss, 64)
		if err != nil || math.IsNaN(loss) || math.IsInf(loss, 0) {
			continue
		}
		read = append(read, point{float64(number(p.Step)), loss})
	}
	return read
}

// span is the range of a curve.
type span struct{ first, last, low, high float64 }

func spanOf(curve []point) span {
	s := span{first: curve[0].step, last: curve[0].step, low: curve[0].loss, high: curve[0].loss}
	for _, p := range curve {
		s.first, s.last = min(s.first, p.step), max(s.last, p.step)
		s.low, s.high = min(s.low, p.loss), max(s.high, p.loss)
	}
	return s
}

// at is where a point stands in a field of the size, the origin at its top left.
func (s span) at(p point, width, height float64) (x, y float64) {
	if s.last > s.first {
		x = (p.step - s.first) / (s.last - s.first) * width
	}
	y = height / 2
	if s.high > s.low {
		y = (s.high - p.loss) / (s.high - s.low) * height
	}
	return x, y
}

// ink draws dots into cells of text.
type ink struct {
	// across and down are the dots of a cell.
	across, down int
	// cell is the character of the dots that are set in it.
	cell func(dots [][]bool) rune
	// vertical, corner and horizontal are the axes.
	vertical, corner, horizontal string
}

// braille has eight dots in a cell.
func braille() ink {
	bits := [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}
	return ink{across: 2, down: 4, vertical: "┤", corner: "└", horizontal: "─", cell: func(dots [][]bool) rune {
		r := rune(0x2800)
		for y, row := range dots {
			for x, set := range row {
				if set {
					r |= bits[y][x]
				}
			}
		}
		if r == 0x2800 {
			return ' '
		}
		return r
	}}
}

// stars has one dot in a cell, for terminals and files that know ASCII alone.
func stars() ink {
	return ink{across: 1, down: 1, vertical: "|", corner: "+", horizontal: "-", cell: func(dots [][]bool) rune {
		if dots[0][0] {
			return '*'
		}
		return ' '
	}}
}

// plot draws a curve in lines of text: the loss upwards, the steps to the right. A curve
// of fewer than two points is none.
func plot(curve []point, width, height int, with ink) []string {
	if len(curve) < 2 {
		return nil
	}
	s := spanOf(curve)
	top, bottom := amount(s.high), amount(s.low)
	margin := max(utf8.RuneCountInString(top), utf8.RuneCountInString(bottom))
	columns := width - margin - len(" |")
	if columns < 10 || height < 3 {
		return nil
	}
	rows := height - 2 // below stand the axis and its numbers
	field := draw(curve, s, columns*with.across, rows*with.down)
	lines := make([]string, 0, height)
	for y := range rows {
		label := ""
		switch y {
		case 0:
			label = top
		case rows - 1:
			label = bottom
		}
		var b strings.Builder
		for x := range columns {
			b.WriteRune(with.cell(cut(field, x*with.across, y*with.down, with)))
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%*s %s%s", margin, label, with.vertical, b.String()), " "))
	}
	from, to := strconv.Itoa(int(s.first)), "step "+strconv.Itoa(int(s.last))
	if len(from)+len(to)+1 > columns {
		from, to = "", ""
	}
	lines = append(lines,
		fmt.Sprintf("%*s %s%s", margin, "", with.corner, strings.Repeat(with.horizontal, columns)),
		strings.TrimRight(fmt.Sprintf("%*s  %s%*s", margin, "", from, columns-len(from), to), " "))
	return lines
}

// draw sets the dots of the lines between the points.
func draw(curve []point, s span, width, height int) [][]bool {
	field := make([][]bool, height)
	for y := range field {
		field[y] = make([]bool, width)
	}
	for i := 1; i < len(curve); i++ {
		x0, y0 := s.at(curve[i-1], float64(width-1), float64(height-1))
		x1, y1 := s.at(curve[i], float64(width-1), float64(height-1))
		n := math.Ceil(max(math.Abs(x1-x0), math.Abs(y1-y0), 1))
		for k := 0.0; k <= n; k++ {
			field[int(math.Round(y0+(y1-y0)*k/n))][int(math.Round(x0+(x1-x0)*k/n))] = true
		}
	}
	return field
}

// cut is the part of a field that one cell shows.
func cut(field [][]bool, x, y int, with ink) [][]bool {
	dots := make([][]bool, with.down)
	for i := range dots {
		dots[i] = field[y+i][x : x+with.across]
	}
	return dots
}

// amount is a loss in four digits at most.
func amount(loss float64) string {
	switch {
	case math.Abs(loss) >= 1000:
		return strconv.FormatFloat(loss, 'e', 1, 64)
	case math.Abs(loss) >= 10:
		return strconv.FormatFloat(loss, 'f', 1, 64)
	}
	return strconv.FormatFloat(loss, 'f', 3, 64)
}
