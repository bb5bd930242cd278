package karpenter

import (
	"fmt"

	"github.com/awslabs/operatorpkg/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"

	"kaito.sh/kaito/internal/nodeclaim"
)

// class is the marker KaitoNodeClass in the form that Karpenter asks for. It says its own kind
// (unstructured objects do), so that it need not be registered in a scheme of the whole process.
type class struct{ unstructured.Unstructured }

func newClass() *class {
	c := &class{}
	c.SetGroupVersionKind(schema.GroupVersionKind{Group: nodeclaim.ClassGroup, Version: "v1alpha1", Kind: nodeclaim.ClassKind})
	c.SetName(nodeclaim.ClassName)
	return c
}

// GetConditions is empty: a marker is always ready.
func (*class) GetConditions() []status.Condition { return nil }

// SetConditions does nothing.
func (*class) SetConditions([]status.Condition) {}

// StatusConditions is an empty set.
func (c *class) StatusConditions(options ...status.ForOption) status.ConditionSet {
	return status.NewReadyConditions().For(c, options...)
}

// noteLimit is how many bytes an event may say.
const noteLimit = 1000

// voice lets Karpenter speak through the events of today's API.
type voice struct{ events.EventRecorder }

// Event tells of one object.
func (v voice) Event(object runtime.Object, kind, reason, message string) {
	v.Eventf(object, kind, reason, "%s", message)
}

// Eventf tells of one object.
func (v voice) Eventf(object runtime.Object, kind, reason, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	v.EventRecorder.Eventf(object, nil, kind, reason, "Terminate", "%s", note[:min(len(note), noteLimit)])
}

// AnnotatedEventf tells of one object; events of today's API carry no annotations.
func (v voice) AnnotatedEventf(object runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	v.Eventf(object, kind, reason, format, args...)
}
