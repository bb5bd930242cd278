package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"kaito.sh/kaito/api/v1beta1"
)

// wanted is an apply configuration, given as JSON, as plain data, with its own hash among its
// annotations. The hash is what notices that a field which we once named is named
// no more: by the remaining fields alone nothing would differ.
func wanted(data []byte) (*unstructured.Unstructured, error) {
	want := &unstructured.Unstructured{}
	if err := want.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("read as an object: %w", err)
	}
	sayDefaults(want.Object)
	sum := sha256.Sum256(data)
	annotations := want.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1beta1.AnnotationAppliedHash] = hex.EncodeToString(sum[:8])
	want.SetAnnotations(annotations)
	return want, nil
}

// converter knows which lists are merged by key and which values are one piece,
// as the API server's own server-side apply does.
type converter struct {
	scheme *runtime.Scheme
	types  managedfields.TypeConverter
}

func newConverter(scheme *runtime.Scheme) converter {
	return converter{scheme: scheme, types: applyconfigurations.NewTypeConverter(scheme)}
}

// holds says whether applying want to have would change nothing: every field of
// want is in have with the same value, and what is one piece (a selector, a list of
// arguments) is the same as a whole. What else have holds belongs to others.
func (c converter) holds(have client.Object, want *unstructured.Unstructured) (bool, error) {
	gvk, err := apiutil.GVKForObject(have, c.scheme)
	if err != nil {
		return false, fmt.Errorf("find the kind of %T: %w", have, err)
	}
	there, err := c.typed(have, gvk)
	if err != nil {
		return false, fmt.Errorf("read what stands there: %w", err)
	}
	ours, err := c.types.ObjectToTyped(want, typed.AllowDuplicates)
	if err != nil {
		return false, fmt.Errorf("read what is wanted: %w", err)
	}
	change, err := there.Compare(ours)
	if err != nil {
		return false, fmt.Errorf("compare the two: %w", err)
	}
	if !change.Modified.Empty() || change.Added.Empty() {
		return change.Modified.Empty(), nil
	}
	kept, err := c.kept(want)
	if err != nil {
		return false, err
	}
	return change.Added.Intersection(kept).Empty(), nil
}

// typed is an object by the rules of its kind. Others may put into a list twice what we would not.
func (c converter) typed(object runtime.Object, gvk schema.GroupVersionKind) (*typed.TypedValue, error) {
	object.GetObjectKind().SetGroupVersionKind(gvk) // objects of a typed client carry none
	return c.types.ObjectToTyped(object, typed.AllowDuplicates)
}

// kept are the fields of want that an object of the cluster can hold: an empty
// string or list is dropped on the way, where the kind says so.
func (c converter) kept(want *unstructured.Unstructured) (*fieldpath.Set, error) {
	object, err := c.scheme.New(want.GroupVersionKind())
	if err != nil {
		return nil, fmt.Errorf("make an empty object: %w", err)
	}
	through := runtime.DefaultUnstructuredConverter
	if err := through.FromUnstructured(want.Object, object); err != nil {
		return nil, fmt.Errorf("read what is wanted: %w", err)
	}
	held, err := c.typed(object, want.GroupVersionKind())
	if err != nil {
		return nil, fmt.Errorf("read what is wanted: %w", err)
	}
	fields, err := held.ToFieldSet()
	if err != nil {
		return nil, fmt.Errorf("list the wanted fields: %w", err)
	}
	return fields, nil
}

// sayDefaults writes out the defaults of the API server that stand inside values
// which are one piece: there a field that only the server has is a difference. The
// renderers say theirs; this is for what users write into a pod template.
func sayDefaults(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			sayDefaults(item)
			if inside, ok := item.(map[string]any); ok {
				sayDefault(key, inside)
			}
		}
	case []any:
		for _, item := range v {
			sayDefaults(item)
		}
	}
}

func sayDefault(field string, inside map[string]any) {
	key, value := "", any(nil)
	switch field {
	case "fieldRef":
		key, value = "apiVersion", "v1"
	case "resourceFieldRef":
		key, value = "divisor", "0"
	case "serviceAccountToken":
		key, value = "expirationSeconds", int64(3600)
	default:
		return
	}
	if _, said := inside[key]; !said {
		inside[key] = value
	}
}
