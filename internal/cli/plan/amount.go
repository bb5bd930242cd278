package plan

import (
	"errors"
	"strconv"

	"github.com/spf13/pflag"

	"kaito.sh/kaito/internal/engine"
)

// amount is a flag that counts something; its text is read as inference_config.yaml reads it.
type amount struct {
	into *int
	// tokens takes units: 8k is 8000, 8K is 8192.
	tokens bool
}

// String is the number.
func (a amount) String() string {
	if a.into == nil {
		return "0"
	}
	return strconv.Itoa(*a.into)
}

// Type is what help calls it where a flag does not.
func (a amount) Type() string { return "number" }

// Set reads the number.
func (a amount) Set(text string) error {
	read, allowed := strconv.Atoi, "write a whole number"
	if a.tokens {
		read, allowed = engine.Count, "write a number of tokens, such as 8192, 8K for 8192 or 8k for 8000"
	}
	n, err := read(text)
	if err != nil {
		return errors.New(allowed)
	}
	*a.into = n
	return nil
}

// bindAmounts adds the flags that count something.
func (o *options) bindAmounts(flags *pflag.FlagSet) {
	flags.Var(amount{&o.context, true}, "context", "`TOKENS` that prompt and answer of a request share, such as 8192 or 8K (default: the model's, or what fits)")
	flags.Var(amount{&o.concurrency, false}, "concurrency", "`REQUESTS` at once for which the KV cache shall have room (default: as many as fit)")
	flags.Var(amount{&o.batch, false}, "batch", "`ROWS` of data in one pass of the training (default: that of training_config.yaml)")
	flags.Var(amount{&o.length, true}, "length", "`TOKENS` of the longest row of data (default: that of training_config.yaml)")
}
