package engine

// owned are the flags that Kaito sets and a user cannot, by name, with the reason.
func owned(engine string) map[string]string {
	if engine == sectionVLLM {
		return ownedVLLM()
	}
	return ownedLlamacpp()
}

// The reasons that several flags share.
const (
	whyWeights   = "the Workspace names the model, and the runner brings its files"
	whyListen    = "the runner finds the server there; clients reach it by the Service"
	whyGuard     = "the runner stands in front and asks for no key; put a gateway before the Service"
	whyTopology  = "the plan says over how many nodes and copies a model is spread"
	whyAdapters  = "name adapters in inference.adapters"
	whyEnds      = "with it the server prints and ends"
	whyDownloads = "the server has no network; the Workspace names the model"
	whyNames     = "the names under which a model answers are the catalog's"
	whyDrain     = "the runner lets requests end before it stops the server"
)

func ownedVLLM() map[string]string {
	return map[string]string{
		"model": whyWeights, "tokenizer": whyWeights, "config": "this file is the configuration", "download-dir": whyWeights,
		"hf-token":          "name a Secret in presetOptions.modelAccessSecret",
		"served-model-name": whyNames,
		"host":              whyListen, "port": whyListen, "uds": whyListen, "grpc": whyListen, "grpc-port": whyListen, "root-path": whyListen,
		"ssl-keyfile": whyListen, "ssl-certfile": whyListen, "ssl-ca-certs": whyListen, "ssl-cert-reqs": whyListen,
		"ssl-ciphers": whyListen, "enable-ssl-refresh": whyListen,
		"api-key":  whyGuard,
		"headless": whyTopology, "nnodes": whyTopology, "node-rank": whyTopology, "master-addr": whyTopology, "master-port": whyTopology,
		"pipeline-parallel-size": whyTopology, "device-ids": "the scheduler hands out GPUs",
		"data-parallel-size-local": whyTopology, "data-parallel-rank": whyTopology,
		"data-parallel-start-rank": whyTopology, "data-parallel-address": whyTopology, "data-parallel-rpc-port": whyTopology,
		"data-parallel-backend": whyTopology, "data-parallel-hybrid-lb": whyTopology, "data-parallel-external-lb": whyTopology,
		"data-parallel-multi-port-external-lb": whyTopology,
		"lora-modules":                         whyAdapters,
		"shutdown-timeout":                     whyDrain,
	}
}

func ownedLlamacpp() map[string]string {
	all := map[string]string{
		"model": whyWeights, "mmproj-url": whyDownloads, "model-url": whyDownloads, "docker-repo": whyDownloads, "hf-repo": whyDownloads,
		"hf-file": whyDownloads, "hf-token": whyDownloads, "spec-draft-hf": whyDownloads, "offline": whyDownloads, "rpc": whyDownloads,
		"models-dir": whyWeights, "models-preset": whyWeights, "models-max": whyWeights, "models-autoload": whyWeights,
		"alias": whyNames,
		"host":  whyListen, "port": whyListen, "reuse-port": whyListen, "api-prefix": whyListen, "path": whyListen,
		"ssl-key-file": whyListen, "ssl-cert-file": whyListen,
		"api-key": whyGuard, "api-key-file": whyGuard,
		"lora": whyAdapters, "lora-scaled": whyAdapters, "lora-init-without-apply": whyAdapters,
		"threads":       "it equals the pod's CPU: one thread more makes every token wait",
		"threads-batch": "it equals the pod's CPU: one thread more makes every token wait",
		"metrics":       "the runner reads them",
		"slots":         "they show what others ask", "slot-save-path": "they show what others ask",
		"props": "it lets every client change the server", "ui": "the runner answers only the API", "agent": "it gives clients tools inside the pod",
		"tools": "it gives clients tools inside the pod", "tools-runtime": "it gives clients tools inside the pod",
		"ui-mcp-proxy":       "it gives clients tools inside the pod",
		"mcp-servers-config": "it gives clients tools inside the pod", "mcp-servers-json": "it gives clients tools inside the pod",
		"media-path":         "it shows clients the pod's files",
		"sleep-idle-seconds": "the runner watches the server's health",
	}
	for _, f := range []string{"help", "version", "completion-bash", "cache-list", "list-devices"} {
		all[f] = whyEnds
	}
	for _, f := range []string{
		"embd-gemma-default", "fim-qwen-1.5b-default", "fim-qwen-3b-default", "fim-qwen-7b-default", "fim-qwen-7b-spec",
		"fim-qwen-14b-spec", "fim-qwen-30b-default", "gpt-oss-20b-default", "gpt-oss-120b-default", "vision-gemma-4b-default",
		"vision-gemma-12b-default",
	} {
		all[f] = whyDownloads
	}
	return all
}

// gone are flags of older versions that manifests still hold: they change nothing,
// by name, with what became of them.
func gone(engine string) map[string]string {
	if engine != sectionVLLM {
		return nil
	}
	return map[string]string{
		"swap-space":                             "vLLM keeps no swap any more",
		"num-scheduler-steps":                    "vLLM schedules every step",
		"multi-step-stream-outputs":              "vLLM schedules every step",
		"num-lookahead-slots":                    "vLLM computes it",
		"max-seq-len-to-capture":                 "vLLM computes it",
		"preemption-mode":                        "vLLM always computes anew",
		"use-v2-block-manager":                   "there is only one",
		"enable-reasoning":                       "reasoning-parser alone does it",
		"disable-frontend-multiprocessing":       "vLLM decides",
		"guided-decoding-backend":                "it is structured-outputs-config now",
		"guided-decoding-disable-any-whitespace": "it is structured-outputs-config now",
		"task":                                   "it is runner and convert now",
		"worker-use-ray":                         "it is distributed-executor-backend now",
		"kaito-disable-rate-limit":               "the runner bounds what is in flight",
		"kaito-kv-cache-cpu-memory-utilization":  "the KV cache stays in the memory of the GPUs",
		"kaito-max-probe-steps":                  "the plan computes the context; nothing is probed",
	}
}
