package members

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deeply objects and lists may stand in each other, as in encoding/json.
const maxDepth = 10000

// scanner walks over a text. Its methods stand before something when they are called and
// behind it when they return true.
type scanner struct {
	text   []byte
	at     int
	around int // brackets that are open around what is walked over
}

// peek is the next byte, 0 at the end: no JSON begins with that one either.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take passes over c if it is next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// space passes over white space.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// end says that nothing but white space is left.
func (s *scanner) end() error {
	if s.space(); s.at != len(s.text) {
		return ErrInvalid
	}
	return nil
}

// other tells a valid text that is no object from an invalid one.
func (s *scanner) other() error {
	if s.value() && s.end() == nil {
		return ErrNotObject
	}
	return ErrInvalid
}

// value passes over one value with all that is in it.
func (s *scanner) value() bool {
	var owed []byte // closing brackets, the innermost last
	for {
		switch s.peek() {
		case '{':
			s.at++
			owed = append(owed, '}')
			if s.space(); s.peek() != '}' {
				if !s.name() {
					return false
				}
				continue
			}
		case '[':
			s.at++
			owed = append(owed, ']')
			if s.space(); s.peek() != ']' {
				continue
			}
		default:
			if !s.scalar() {
				return false
			}
		}
		if len(owed)+s.around > maxDepth {
			return false
		}
		var ok bool
		if owed, ok = s.close(owed); !ok || len(owed) == 0 {
			return ok
		}
	}
}

// close passes over the brackets that end here and, where one stays open, over
// everything up to the next value in it.
func (s *scanner) close(owed []byte) ([]byte, bool) {
	for len(owed) > 0 {
		last := owed[len(owed)-1]
		s.space()
		switch {
		case s.take(last):
			owed = owed[:len(owed)-1]
		case s.take(','):
			s.space()
			return owed, last == ']' || s.name()
		default:
			return owed, false
		}
	}
	return owed, true
}

// name passes over the name of a member and all up to its value.
func (s *scanner) name() bool {
	if !s.quoted() {
		return false
	}
	if s.space(); !s.take(':') {
		return false
	}
	s.space()
	return true
}

// scalar passes over a value without brackets.
func (s *scanner) scalar() bool {
	switch s.peek() {
	case '"':
		return s.quoted()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) bool {
	if end := s.at + len(w); end <= len(s.text) && string(s.text[s.at:end]) == w {
		s.at = end
		return true
	}
	return false
}

// number passes over a number.
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if !s.take('e') && !s.take('E') {
		return true
	}
	if !s.take('+') {
		s.take('-')
	}
	return s.digits()
}

// digits passes over one digit or more.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at > start
}

// quoted passes over a string.
func (s *scanner) quoted() bool {
	if !s.take('"') {
		return false
	}
	for {
		s.at = plain(s.text, s.at)
		if s.at >= len(s.text) {
			return false
		}
		switch s.text[s.at] {
		case '"':
			s.at++
			return true
		case '\\':
			if !s.escape() {
				return false
			}
		default: // a control character
			return false
		}
	}
}

// escape passes over a backslash and what belongs to it.
func (s *scanner) escape() bool {
	rest := s.text[s.at:]
	if len(rest) < 2 {
		return false
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return true
	case 'u':
		const whole = len(`\u0000`)
		if len(rest) < whole {
			return false
		}
		for _, c := range rest[2:whole] {
			if !hexadecimal(c) {
				return false
			}
		}
		s.at += whole
		return true
	default:
		return false
	}
}

func hexadecimal(c byte) bool { return c-'0' <= 9 || (c|0x20)-'a' <= 5 }

// plain is where the part of a string that begins at and stands for itself ends; it looks
// at eight bytes at a time.
func plain(text []byte, at int) int {
	for ; at+8 <= len(text); at += 8 {
		if m := special(binary.LittleEndian.Uint64(text[at : at+8])); m != 0 {
			return at + bits.TrailingZeros64(m)/8
		}
	}
	for at < len(text) && text[at] >= ' ' && text[at] != '"' && text[at] != '\\' {
		at++
	}
	return at
}

// special marks, with the highest bit of its byte, the first of eight bytes that is a
// control character, a quotation mark or a backslash; marks behind the first mean nothing.
func special(w uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, back := w^(ones*'"'), w^(ones*'\\')
	below := (w - ones*' ') &^ w
	return (below | (quote-ones)&^quote | (back-ones)&^back) & tops
}
