package dataset

import "strconv"

// kind is what a value is, in words for messages.
type kind string

const (
	kindNull   kind = "null"
	kindString kind = "text"
	kindOther  kind = "a number or a boolean"
	kindList   kind = "a list"
	kindObject kind = "an object"
)

// value is a cell of any format.
type value struct {
	kind kind
	// text is that of a string.
	text string
	// list are the elements of a list.
	list []value
	// members are those of an object, in their order.
	members []member
}

type member struct {
	name string
	value
}

// get is the member of that name, or null.
func (v value) get(name string) value {
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value
		}
	}
	return value{kind: kindNull}
}

// names are the names of the members of an object.
func names(v value) []string {
	all := make([]string, 0, len(v.members))
	for _, m := range v.members {
		all = append(all, m.name)
	}
	return all
}

func textual(s string) value { return value{kind: kindString, text: s} }

func quoted(s string) string { return strconv.Quote(s) }
