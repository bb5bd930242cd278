package chat

import (
	"encoding/json"
	"errors"
	"math"
)

// What a value must be, as the end of a sentence.
var (
	errNumber   = errors.New("a number")
	errInteger  = errors.New("a whole number")
	errPositive = errors.New("a whole number of at least 1")
	errTruth    = errors.New("true or false")
	errWords    = errors.New("a string or a list of strings")
)

func number(raw json.RawMessage) (any, error) {
	var v float64
	if json.Unmarshal(raw, &v) != nil {
		return nil, errNumber
	}
	return v, nil
}

// integer takes 10 and 10.0 alike, because Python clients send both.
func integer(raw json.RawMessage) (any, error) {
	var v float64
	if json.Unmarshal(raw, &v) != nil || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return nil, errInteger
	}
	return int64(v), nil
}

func positive(raw json.RawMessage) (int, error) {
	v, err := integer(raw)
	n, _ := v.(int64)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return 0, errPositive
	}
	return int(n), nil
}

func truth(raw json.RawMessage) (bool, error) {
	var v bool
	if json.Unmarshal(raw, &v) != nil {
		return false, errTruth
	}
	return v, nil
}

func words(raw json.RawMessage) (any, error) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		return nil, errWords
	}
	return many, nil
}
