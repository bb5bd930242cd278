package data

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/dataset/source"
	"kaito.sh/kaito/internal/runner/fetch"
	"kaito.sh/kaito/internal/runner/fetch/image"
)

// content is a data set in an image.
func content() fetch.Content {
	return fetch.Content{
		Folder: "data", Noun: "data set", Again: "put the files below /data of an image, each in one layer",
		SecretsField: "tuning.input.imagePullSecrets",
	}
}

// files brings the files to where they can be read, and notes what was left out.
func (o Options) files(ctx context.Context) ([]dataset.File, []string, error) {
	in := o.Tune.Input
	switch {
	case in.Image != nil:
		if err := o.unpack(ctx); err != nil {
			return nil, nil, err
		}
		return folder(o.Work)
	case in.Volume:
		return folder(o.Input)
	}
	allow, err := prefixes(in.AllowCIDRs)
	if err != nil {
		return nil, nil, err
	}
	var authorities []byte
	if in.CAFile != "" {
		if authorities, err = os.ReadFile(in.CAFile); err != nil {
			return nil, nil, fmt.Errorf("read further authorities for https: %w", err)
		}
	}
	files, err := source.Web(ctx, in.URLs, source.Options{
		Dir: filepath.Join(o.Work, "files"), Allow: allow, CAs: authorities, Sleep: o.Sleep, Version: o.Version,
		Report: func(string, int64, int64) {}, Log: o.Log,
	})
	return files, nil, err //nolint:wrapcheck // it says all
}

// unpack fetches the files of an image.
func (o Options) unpack(ctx context.Context) error {
	in := o.Tune.Input.Image
	from := image.New(image.Options{
		Reference: in.Reference, Credentials: in.Credentials, PlainHTTP: in.PlainHTTP, Patterns: in.Files, Content: content(),
	})
	return fetch.Run(ctx, from, fetch.Options{ //nolint:wrapcheck // it says all
		Dir: o.Work, Free: o.Free, Sleep: o.Sleep, Report: func(int64, int64) {}, Log: o.Log,
	})
}

func folder(dir string) ([]dataset.File, []string, error) {
	files, others, err := source.Folder(dir)
	if err != nil || len(others) == 0 {
		return files, nil, err //nolint:wrapcheck // it says all
	}
	return files, []string{"Files that are no data by their names are left out: " + source.Some(others)}, nil
}
