# Kaito. `make demo` and `make test` do all their own set-up; see README.md.
# Every build uses the same flags, so that all modules share one build cache.
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false -trimpath
SHELL := /bin/bash

VERSION := $(shell cat VERSION)
LDFLAGS := -s -w -X kaito.sh/kaito/internal/buildinfo.version=$(VERSION)
PROGRAMS := kaito kaito-operator kaito-runner gpu-provisioner arm-emulator
MODULES := . localcluster localcluster/dns tools

.DEFAULT_GOAL := help

.PHONY: help
help: ## what each target is for
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ use
.PHONY: demo
demo: ## the main job end to end on this machine (PART=serve, node or tune for one part); leaves the cluster up
	@hack/demo.sh $(PART)

.PHONY: build
build: ## every program into bin/
	@mkdir -p bin
	@go build -ldflags '$(LDFLAGS)' -o bin/ $(PROGRAMS:%=./cmd/%)
	@go build -C localcluster -ldflags '-s -w -X main.version=$(VERSION)' -o ../bin/ ./cmd/kaito-localcluster
	@ln -sf kaito bin/kubectl-kaito
	@ls bin

.PHONY: images
images: build ## every container image and the development model into the local registry
	@bin/kaito local images

.PHONY: local-up local-down clean-local
local-up: build ## start the local cluster
	@bin/kaito local up
local-down: ## stop the local cluster, keep its data
	@bin/kaito local down
clean-local: build ## stop the local clusters and clouds, and remove their data
	@hack/cloud.sh down-all
	@bin/kaito local down --all --purge

##@ check
.PHONY: test
test: ## everything, in order of speed, with the time of each stage
	@hack/test.sh

.PHONY: generate
generate: ## deep copies, CRDs, schemas
	@hack/generate.sh

.PHONY: verify-vllm
verify-vllm: ## ask the real vLLM's parser (a wheel of 336 MB) about every command line that we render
	@hack/verify-vllm.sh

.PHONY: verify
verify: ## generated files and formatting are up to date
	@hack/verify.sh

.PHONY: lint
lint: ## golangci-lint with kube-api-linter, shellcheck, ruff, mypy
	@hack/lint.sh

.PHONY: planted
planted: ## violations planted in a scratch copy are caught
	@hack/planted.sh

.PHONY: arch
arch: ## who may import whom
	@go test ./internal/archtest

.PHONY: test-unit
test-unit: ## tests that need no server and no root
	@go vet ./... && go test ./...
	@go -C localcluster vet ./cmd/kaito-localcluster ./internal/... && go -C localcluster test ./internal/... ./cmd/kaito-localcluster/...

.PHONY: test-python
test-python: ## pytest over runtimes/
	@"$$(hack/python.sh)/bin/pytest" -q runtimes

.PHONY: test-tuner
test-tuner: ## the trainer with the libraries of its image
	@hack/tuner-test.sh

.PHONY: test-api
test-api: ## controllers, CRDs, goldens and examples against a real API server
	@hack/api-test.sh

.PHONY: e2e
e2e: ## the built programs and images on local clusters of the tests' own
	@hack/e2e.sh

.PHONY: golden
golden: ## rewrite the golden files
	@go test ./internal/render ./internal/catalog ./internal/cli/explain ./internal/cli/get ./internal/cli/model ./internal/cli/nodes ./internal/cli/tune ./internal/controller/workspace ./internal/estimate ./internal/node/aks ./internal/runner/serve -update
	@go -C localcluster test ./internal/render -update

.PHONY: fuzz
fuzz: ## each fuzz target for 20 s
	@hack/fuzz.sh 20s

##@ look
.PHONY: bench
bench: build ## measure; writes bench/results.json (ARGS=-cluster: also what needs a local cluster)
	@go run ./bench $(ARGS)

.PHONY: measure
measure: ## the code's own figures
	@go -C tools run ./measure -root ..
