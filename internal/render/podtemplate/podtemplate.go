// Package podtemplate makes of a user's pod template what is applied: a field that is not
// set differs from one that is set to nothing. internal/podtemplate says what is wrong with one.
package podtemplate

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	strictjson "sigs.k8s.io/json"

	"kaito.sh/kaito/internal/podtemplate"
)

// Template is what a user's template is applied as.
type Template = corev1ac.PodTemplateSpecApplyConfiguration

// Parse reads a template. Errors are of type podtemplate.InvalidError.
func Parse(raw []byte) (*Template, error) {
	if err := podtemplate.Check(raw); err != nil {
		return nil, err
	}
	var template Template
	if err := decode(raw, &template); err != nil {
		return nil, err
	}
	return &template, nil
}

// Volume reads the source of a volume, as it stands in a pod's volumes beside the name.
// Errors are of type podtemplate.InvalidError, with places within the source.
func Volume(raw []byte) (*corev1ac.VolumeSourceApplyConfiguration, error) {
	if err := podtemplate.CheckVolume(raw); err != nil {
		return nil, err
	}
	var source corev1ac.VolumeSourceApplyConfiguration
	if err := decode(raw, &source); err != nil {
		return nil, err
	}
	return &source, nil
}

// decode refuses what objects have and nobody applies, such as metadata.managedFields.
func decode(raw []byte, into any) error {
	strict, err := strictjson.UnmarshalStrict(raw, into)
	switch {
	case err != nil:
		return &podtemplate.InvalidError{Problem: "cannot be applied", Fix: err.Error()}
	case len(strict) > 0:
		return podtemplate.UnknownField(strict)
	}
	return nil
}
