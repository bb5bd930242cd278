package aks

import (
	"encoding/json"

	"kaito.sh/kaito/internal/node"
)

// token is what a claim keeps of a creation: Azure's own resume token, and whose it is.
type token struct {
	Key       node.Key `json:"key"`
	Operation string   `json:"operation"`
}

// longestToken is the contract's.
const longestToken = 4 << 10

// write is empty where there is nothing to keep, or too much.
func (t token) write() string {
	if t.Operation == "" {
		return ""
	}
	data, err := json.Marshal(t)
	if err != nil || len(data) > longestToken {
		return ""
	}
	return string(data)
}

// operation is what a kept token says of a machine's creation, empty if it is none of its.
func operation(kept string, key node.Key) string {
	var t token
	if len(kept) > longestToken || json.Unmarshal([]byte(kept), &t) != nil || t.Key != key {
		return ""
	}
	return t.Operation
}
