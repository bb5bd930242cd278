package oci

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// An attempt is followed by a pause that doubles. Attempts count anew whenever
// bytes went through, so that a bad line costs time but never the upload.
const (
	firstPause = 500 * time.Millisecond
	longPause  = 15 * time.Second
	attempts   = 6
)

// retry runs try until it succeeds, fails for good, or fails too often.
func (c *Client) retry(ctx context.Context, what string, try func() error) error {
	return c.persist(ctx, what, func() (bool, error) { return false, try() })
}

// persist is retry for work that can advance: try says whether it did.
func (c *Client) persist(ctx context.Context, what string, try func() (advanced bool, err error)) error {
	pause := firstPause
	for n := 1; ; n++ {
		advanced, err := try()
		if err == nil || c.sleep == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		if advanced {
			n, pause = 1, firstPause
		}
		if n >= attempts {
			return err
		}
		c.notice(fmt.Sprintf("%s: %v; trying again in %s", what, err, pause))
		if serr := c.sleep(ctx, pause); serr != nil {
			return errors.Join(err, serr)
		}
		pause = min(2*pause, longPause)
	}
}

// finalError marks what no second attempt can cure.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// passing says whether an attempt could succeed later: the line or the server
// had a problem, not the request.
func passing(err error) bool {
	var (
		final  finalError
		plain  *PlainHTTPError
		cert   *tls.CertificateVerificationError
		answer *transport.Error
	)
	switch {
	case errors.As(err, &final), errors.As(err, &plain), errors.As(err, &cert), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &answer):
		code := answer.StatusCode
		return code >= 500 && code != http.StatusNotImplemented || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
	default:
		return true
	}
}

// Final says whether err is about the request or what it is for, so that no second
// attempt can cure it.
func Final(err error) bool {
	var final finalError
	return errors.As(err, &final)
}
