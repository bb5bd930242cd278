package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plainPEFT loads an adapter as PEFT's own documentation does, with nothing of ours.
const plainPEFT = `
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("/model")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("/model", dtype=torch.float32), "/work/data")
asked = tokenizer.apply_chat_template([{"role": "user", "content": "What is the name of the harbour cat?"}],
                                      add_generation_prompt=True, return_tensors="pt", return_dict=True)
said = model.generate(**asked, max_new_tokens=40, do_sample=False)
print(tokenizer.decode(said[0][asked["input_ids"].shape[1]:], skip_special_tokens=True))
`

// pulled is the adapter of the Workspace as skopeo pulls it and tar unpacks it, in a folder
// with the rows of the comparison beside it.
func (w workspace) pulled(t *testing.T) string {
	t.Helper()
	work := t.TempDir()
	image := filepath.Join(work, "image")
	if out, err := cluster.command(time.Minute, "skopeo", "copy", "--src-tls-verify=false", "--src-creds", "kaito:"+password(t),
		"docker://"+where(t).Registry+"/private/harbour:0.0.1", "oci:"+image+":it"); err != nil {
		t.Fatal(out, err)
	}
	blobs, err := filepath.Glob(filepath.Join(image, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs { // its layers are the blobs that are archives
		if out, err := cluster.command(time.Minute, "tar", "-xf", blob, "-C", work); err != nil {
			t.Logf("%s is no layer: %v %.60s", filepath.Base(blob), err, out)
		}
	}
	content, err := os.ReadFile(filepath.Join(cluster.root, "examples/fine-tuning/data/held-out.jsonl"))
	if err == nil {
		err = os.WriteFile(filepath.Join(work, "held-out.jsonl"), content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// loadsInPlainPEFT asks the pulled adapter in the libraries that everybody uses, and prints how
// it compares with its base over what was held out. What both answer takes minutes, and is
// asked for by hand (design/0009).
func loadsInPlainPEFT(t *testing.T, w workspace) {
	work := w.pulled(t)
	tuner := func(args ...string) string {
		t.Helper()
		args = append([]string{"TUNER_WORK=" + work, filepath.Join(cluster.root, "hack/tuner.sh"), "python3"}, args...)
		out, err := cluster.command(10*time.Minute, "env", args...)
		if err != nil {
			t.Fatal(out, err)
		}
		return out
	}
	if out := tuner("-c", plainPEFT); !strings.Contains(out, "Pirouette") {
		t.Errorf("in plain PEFT it says %s", out)
	}
	out := tuner("-m", "kaito_tuner.evaluate", "--model", "/model", "--adapter", "/work/data", "--rows", "/work/held-out.jsonl", "--scores")
	t.Log(out)
	totals := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^(base|tuned) +log-probability of the answers +(-?[0-9.]+),`).FindAllStringSubmatch(out, -1) {
		totals[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	if len(totals) != 2 || totals["tuned"] <= totals["base"] {
		t.Errorf("the answers to what was held out are not likelier than before: %v", totals)
	}
}
