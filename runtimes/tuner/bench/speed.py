"""Train the same rows with the trainer and with TRL and PEFT as they are, in turns: ``speed.py PARQUET SCRATCH``.

Both sides hold the model, the adapter and the optimizer in the same numbers and see the
same batches. One JSON object a line: side, CPU seconds, wall seconds, tokens.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import harbour
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import SFTConfig, SFTTrainer

from kaito_tuner import trainer
from kaito_tuner.job import Places, parse
from kaito_tuner.progress import Meter, Reporter

MODEL = Path("/model")
BATCH = 2


def ours(lines: list[dict[str, Any]], scratch: Path, steps: int) -> Callable[[], Any]:
    """Make the trainer's side."""
    said = harbour.tune()
    said["threads"] = torch.get_num_threads()
    said["settings"]["TrainingArguments"] |= {
        "max_steps": steps,
        "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "save_strategy": "no",
        "logging_steps": 1,
    }
    said["settings"]["DatasetConfig"]["shuffle_dataset"] = False
    harbour.write(lines, scratch / "rows.jsonl")
    places = Places(scratch / "rows.jsonl", MODEL, scratch / "results", scratch / "checkpoints")
    reporter = Reporter(io.StringIO(), Meter(time.monotonic))
    made = trainer.Run(parse(json.dumps(said)), places, reporter, lambda: False)
    made.load()
    train: Callable[[], Any] = made.trainer.train
    return train


def plain(lines: list[dict[str, Any]], scratch: Path, steps: int) -> Callable[[], Any]:
    """Make the side of a script with TRL and PEFT, told as much about this machine as the trainer knows."""
    packed = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, quantization_config=packed)
    made = []
    for line in lines:
        ((begin, end),) = line["train"]
        mask = [int(begin <= place < end) for place in range(len(line["ids"]))]
        made.append({"input_ids": line["ids"], "completion_mask": mask})
    arguments = SFTConfig(
        output_dir=str(scratch / "plain"),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=2e-4,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        max_length=None,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    found = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(made),
        processing_class=AutoTokenizer.from_pretrained(MODEL),
        peft_config=LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM", target_modules=targets),
    )
    train: Callable[[], Any] = found.train
    return train


def turn(train: Callable[[], Any]) -> dict[str, float]:
    """Train once and answer what it took."""
    wall, cpu = time.monotonic(), time.process_time()
    loss = train().training_loss
    return {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "loss": loss}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=3, help="steps of a turn")
    said = parser.parse_args()
    lines = harbour.rows(said.parquet, MODEL)[: BATCH * said.steps]
    tokens = sum(len(line["ids"]) for line in lines)
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print
    sides = {"trainer": ours(lines, said.scratch, said.steps), "plain": plain(lines, said.scratch, said.steps)}
    for train in sides.values():
        train()  # what is done once is no part of a step
    for number in range(said.rounds):
        order = list(sides.items())
        for name, train in order if number % 2 else reversed(order):
            print(json.dumps({"side": name, "tokens": tokens} | turn(train)), file=out, flush=True)


if __name__ == "__main__":
    main()
