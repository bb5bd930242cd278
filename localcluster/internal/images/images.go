// Package images builds the product's images from their ordinary Dockerfiles on a
// machine without a container engine, and brings them into a registry.
//
// What to do is planned from the files of the checkout alone (plan.go); what it
// takes is done by Debian's mmdebstrap and buildah (engine.go), each in storage of
// its own inside the cache folder. Trees become layers in package layer, so the
// same input gives the same digest.
package images

import (
	"fmt"
	"slices"
	"strings"
)

// ModelsName is the step after the images: the development model.
const ModelsName = "models"

// Repository is where the images are found from inside the cluster.
const Repository = "registry.local:5000/kaito/"

// Tag is the tag of every image that is built here.
const Tag = "dev"

// Image says how one image is built. Paths are relative to the checkout.
type Image struct {
	// Name is the last part of the repository.
	Name string
	// Dockerfile is the one recipe, for people with an engine and for us.
	Dockerfile string
	// Context is the folder that COPY reads from.
	Context string
	// Inputs are the files and folders of the context that the recipe copies.
	Inputs []string
	// Made are the inputs that `make build` makes.
	Made []string
	// Lock lists the packages of the finished image; empty for one without packages.
	Lock string
	// SmokeScript is run by the image's own sh, as the image's user.
	SmokeScript string
	// SmokeCommand is run when the image has no shell.
	SmokeCommand []string
	// Space is how many bytes building it needs in the cache folder.
	Space uint64
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// Table is every image, in the order of building: quick ones first.
func Table() []Image {
	return []Image{
		program("operator", "kaito-operator"),
		program("runner", "kaito-runner"),
		program("gpu-provisioner", "gpu-provisioner"),
		runtimeOf("toolbox", gib),
		runtimeOf("llamacpp", gib),
		runtimeOf("gate", gib, "src", "pyproject.toml"),
		runtimeOf("tuner", 9*gib, "src", "pyproject.toml"),
	}
}

// program is the image of one of our static Go programs.
func program(name, binary string) Image {
	return Image{
		Name: name, Dockerfile: "build/Dockerfile." + name, Context: ".", Made: []string{"bin/" + binary},
		SmokeCommand: []string{"/" + binary, "version"}, Space: 512 * mib,
	}
}

// runtimeOf is the image of runtimes/NAME.
func runtimeOf(name string, space uint64, inputs ...string) Image {
	dir := "runtimes/" + name + "/"
	for i := range inputs {
		inputs[i] = dir + inputs[i]
	}
	return Image{
		Name: name, Dockerfile: dir + "Dockerfile", Context: dir, Inputs: inputs,
		Lock: dir + "packages.lock", SmokeScript: dir + "smoke.sh", Space: space,
	}
}

// Names lists what may be asked for: every image and the models.
func Names() []string {
	var names []string
	for _, image := range Table() {
		names = append(names, image.Name)
	}
	return append(names, ModelsName)
}

// Choose picks the images with these names, in the order of the table; without
// names it picks all. The models are a step of their own and are passed over.
func Choose(table []Image, names []string) ([]Image, error) {
	if len(names) == 0 {
		return table, nil
	}
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no image %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	var chosen []Image
	for _, image := range table {
		if slices.Contains(names, image.Name) {
			chosen = append(chosen, image)
		}
	}
	return chosen, nil
}
