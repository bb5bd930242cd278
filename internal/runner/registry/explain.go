package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/ending"
)

// final is an end that only a user can change.
func final(phase string, reason ending.Reason, format string, args ...any) *ending.Ending {
	return &ending.Ending{Reason: reason, Message: fmt.Sprintf(format, args...), ExitCode: ending.CodeConfig, Phase: phase}
}

func (out *Output) unusable(format string, args ...any) *ending.Ending {
	return final(out.o.Phase, ending.PushSecretUnusable, format, args...)
}

func (out *Output) refused(format string, args ...any) *ending.Ending {
	return final(out.o.Phase, ending.PushRefused, format, args...)
}

// Explain turns what a registry answered to a push into an *ending.Ending, with exit code
// 2 where the answer would be the same again. Endings and nil stay as they are; what came
// because ctx ended is its cause.
func (out *Output) Explain(ctx context.Context, err error) error {
	var (
		end     *ending.Ending
		access  *oci.AccessError
		plain   *oci.PlainHTTPError
		missing *oci.MissingError
		refused *oci.RefusedError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case err == nil || errors.As(err, &end):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &access):
		return out.denied(access)
	case errors.As(err, &plain):
		return out.refused("Registry %s answers plain HTTP only; give it TLS, or have it named among the registries that may do without (chart value registries.insecure)", plain.Host)
	case errors.As(err, &missing):
		return out.refused("Registry %s has no repository %s and makes none by itself (%v); create it, or name another one in %s", out.Host, out.repository, err, imageField)
	case errors.As(err, &refused):
		return out.refused("Registry %s takes no push to %s (%s); name another repository in %s, or have its owner allow it",
			out.Host, out.repository, answer(refused.Status, refused.Words), imageField)
	case oci.Final(err):
		return out.refused("Registry %s cannot be pushed to: %v", out.Host, err)
	case errors.As(err, &cert):
		return out.unreachable("Registry %s shows a certificate that is not trusted: %v; give it one of a known authority", out.Host, cert.Err)
	default:
		return out.unreachable("Registry %s does not take a push now: %v; look at its address, at the name service and at the NetworkPolicies of the namespace", out.Host, err)
	}
}

func (out *Output) unreachable(format string, args ...any) *ending.Ending {
	return &ending.Ending{Reason: ending.PushUnreachable, Message: fmt.Sprintf(format, args...), ExitCode: ending.CodeFailed, Phase: out.o.Phase}
}

// denied says whose credentials do not suffice.
func (out *Output) denied(e *oci.AccessError) *ending.Ending {
	name, said := out.o.Tune.Output.SecretName, answer(e.Status, e.Words)
	switch {
	case name == "":
		return out.refused("Registry %s takes no push to %s from strangers (%s); create a Secret with %s and name it in %s", out.Host, out.repository, said, out.create(), secretField)
	case !out.covers:
		return out.unusable("Secret %q of %s has credentials for %s and none for %s, which takes no push from strangers (%s); create it with %s",
			name, secretField, strings.Join(out.secret.Hosts(), ", "), out.Host, said, out.create())
	case e.Status == http.StatusForbidden:
		return out.refused("Registry %s does not let the account of Secret %q push to %s (%s); give it the right to, or name another repository in %s",
			out.Host, name, out.repository, said, imageField)
	default:
		return out.refused("Registry %s does not accept the credentials of Secret %q for a push to %s (%s); put valid ones into it", out.Host, name, out.repository, said)
	}
}

// answer is a registry's answer in few words.
func answer(status int, words string) string {
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	if words != "" {
		text += ": " + words
	}
	return text
}

// Pauses between attempts double.
const (
	firstPause = 2 * time.Second
	longPause  = 30 * time.Second
)

// Patiently tries again while the registry is only unreachable, until all pauses together
// are as long as patience. The last error is returned.
func (out *Output) Patiently(ctx context.Context, patience time.Duration, try func() error) error {
	pause := firstPause
	for {
		err := try()
		var end *ending.Ending
		if err == nil || !errors.As(err, &end) || end.Reason != ending.PushUnreachable || pause > patience {
			return err
		}
		out.o.Log.Warn("registry: trying again", "err", end.Message, "pauseSeconds", pause.Seconds())
		if out.o.Sleep(ctx, pause) != nil {
			return err // what was the matter says more than that time is up
		}
		patience -= pause
		pause = min(2*pause, longPause)
	}
}
