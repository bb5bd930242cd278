package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/dataset/source"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

// final is an end that comes again until somebody changes something.
func final(reason ending.Reason, format string, args ...any) *ending.Ending {
	return &ending.Ending{Reason: reason, Message: fmt.Sprintf(format, args...), ExitCode: ending.CodeConfig, Phase: contract.TunePreparing}
}

// passing is an end after which another try may go well.
func passing(reason ending.Reason, format string, args ...any) *ending.Ending {
	e := final(reason, format, args...)
	e.ExitCode = ending.CodeFailed
	return e
}

// verdict turns what went wrong into an end.
func (o Options) verdict(err error) error {
	var (
		end     *ending.Ending
		invalid *dataset.Error
		from    *source.Error
		fetched *fetch.Error
	)
	switch {
	case errors.As(err, &end), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &invalid):
		return final(ending.DataInvalid, "The data set cannot be trained on: %v", invalid)
	case errors.As(err, &from):
		return sourced(from)
	case errors.As(err, &fetched):
		return imaged(fetched)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return final(ending.DiskFull, "The disk for the data is full: %v; use a smaller data set, or give the node a larger disk", err)
	case errors.Is(err, fs.ErrPermission):
		return final(ending.DataRefused, "The data may not be read: %v; let everybody read it, or user 2000", err)
	}
	return passing(ending.Internal, "The data cannot be read: %v", err)
}

// sourced is the end for files from addresses and folders.
func sourced(e *source.Error) *ending.Ending {
	switch e.Kind {
	case source.NotFound:
		return final(ending.DataNotFound, "%s", e.Message)
	case source.Refused:
		return final(ending.DataRefused, "%s", e.Message)
	case source.Unreachable:
		return passing(ending.DataUnreachable, "%s", e.Message)
	case source.Unusable:
		return final(ending.DataInvalid, "%s", e.Message)
	case source.Full:
		return final(ending.DiskFull, "%s", e.Message)
	}
	return passing(ending.Internal, "%s", e.Message)
}

// imaged is the end for files of an image, whose fetch speaks of weights.
func imaged(e *fetch.Error) *ending.Ending {
	switch e.Reason {
	case ending.WeightsNotFound:
		return final(ending.DataNotFound, "%s", e.Message)
	case ending.WeightsRefused:
		return final(ending.DataRefused, "%s", e.Message)
	case ending.WeightsUnreachable, ending.WeightsCorrupt:
		return passing(ending.DataUnreachable, "%s", e.Message)
	case ending.WeightsUnusable:
		return final(ending.DataInvalid, "%s", e.Message)
	}
	end := e.Ending()
	end.Phase = contract.TunePreparing
	return end
}
