package workspace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
)

// errRefused marks children that the API server does not accept: no retry helps,
// so the answer belongs into a condition.
var errRefused = errors.New("refused by the API server")

// act writes the children of a decision. It says whether some are left for the next
// pass: where many Workspaces come at once, all their pods start before the rest is made.
func (r *Reconciler) act(ctx context.Context, o observed, d decision) (more bool, err error) {
	children := wantedFacts(o, d.facts)
	if d.tuned != nil {
		children = wantedByTuning(o, d)
	}
	if d.serving != nil {
		serving := wanted(o, *d.serving)
		if server := slices.IndexFunc(serving, isServer); o.server == nil {
			serving, more = serving[:server+1], true
		}
		children = append(children, serving...)
	}
	err = r.writer.Apply(ctx, children)
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return false, fmt.Errorf("%w: %w", errRefused, err)
	}
	return more && err == nil, err
}

func isServer(c kube.Child) bool { return c.Kind == "StatefulSet" }

// refusedByServer puts the server's answer where the user looks.
func (d *decision) refusedByServer(o observed, err error) {
	if aboutTemplate(o, err) {
		// What stands in a template is the user's, and so is its correction.
		d.accepted, d.final = v1beta1.Refused(v1beta1.ReasonInvalidTemplate, "The API server does not take the pod template in inference.template: %v", cause(err)), true
		d.inference = stands(o, d.accepted)
		return
	}
	const words = "The API server does not accept an object of this Workspace: %v; see the quotas and policies of namespace %q"
	if d.tuned != nil && d.serving == nil {
		d.job = v1beta1.JobFailed(v1beta1.ReasonPodRejected, words, err, o.ws.Namespace)
		return
	}
	d.inference = v1beta1.InferenceNotReady(v1beta1.ReasonPodRejected, words, err, o.ws.Namespace)
}

// aboutTemplate is true of an answer about the user's own pod template.
func aboutTemplate(o observed, err error) bool {
	var status apierrors.APIStatus
	return o.ws.Inference != nil && o.ws.Inference.Template != nil && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) &&
		errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "StatefulSet"
}

// cause is what the API server itself said.
func cause(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return errors.New(status.Status().Message)
	}
	return err
}
