"""What these tests share: a small random model, rows for it, and runs in processes of their own.

A run is a process that is forked from one that has imported the libraries, which takes
longer than such a run itself. It is killed as any process is.
"""

import dataclasses
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kaito_tuner import train
from kaito_tuner.job import Job, Places, parse

EXAMPLES = Path(__file__).parents[2] / "schema" / "examples" / "tune"

# The operator's own files, of each method one: their settings have every default filled in.
WRITTEN = {"qlora": "smollm2-qlora.json", "lora": "image-input.json"}

VOCABULARY = 300
STEPS = 12

# Done in the process of a run before it begins.
Trick = Callable[[], None]


def tune(method: str, **sections: dict[str, Any]) -> dict[str, Any]:
    """Answer what the operator writes, with settings for a run of seconds."""
    said: dict[str, Any] = json.loads((EXAMPLES / WRITTEN[method]).read_text(encoding="utf-8"))
    said["threads"] = 1
    short = {"max_steps": STEPS, "learning_rate": 1e-2, "logging_steps": 1, "save_steps": 2}
    for name, keys in ({"TrainingArguments": short} | {"LoraConfig": {"r": 4}}).items():
        said["settings"][name].update(keys)
    for name, keys in sections.items():
        said["settings"][name].update(keys)
    return said


def rows(count: int = 9, seed: int = 7) -> list[dict[str, Any]]:
    """Make rows of several lengths, each with one or two ranges to train on."""
    chance, made = random.Random(seed), []
    for _ in range(count):
        ids = [chance.randrange(VOCABULARY) for _ in range(chance.randint(8, 24))]
        bounds = sorted(chance.sample(range(len(ids) + 1), chance.choice([2, 4])))
        made.append({"ids": ids, "train": [list(pair) for pair in zip(bounds[::2], bounds[1::2], strict=True)]})
    return made


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended and what it said."""

    code: int
    lines: list[dict[str, Any]]
    log: str

    @property
    def result(self) -> dict[str, Any]:
        """The last word; a run that was killed has none."""
        return self.lines[-1] if self.lines and self.lines[-1]["event"] == "result" else {}

    def of(self, event: str) -> list[dict[str, Any]]:
        """Answer the lines of one kind."""
        return [line for line in self.lines if line["event"] == event]

    def done(self) -> dict[str, Any]:
        """Answer the summary of a run that must have ended well."""
        assert self.result.get("reason") == "Done", f"{self.code}: {self.lines[-2:]}\n{self.log[-4000:]}"
        assert self.code == 0
        summary: dict[str, Any] = self.result["training"]
        return summary

    def problem(self) -> tuple[int, str, str]:
        """Answer how a run that must not have ended well did end."""
        assert self.result, f"{self.code}: {self.lines[-2:]}\n{self.log[-4000:]}"
        return self.code, self.result["reason"], self.result.get("message", "")


@dataclasses.dataclass(frozen=True)
class Workbench:
    """The folders of one run."""

    root: Path
    places: Places

    @classmethod
    def make(cls, root: Path, model: Path, said: dict[str, Any], lines: Sequence[dict[str, Any]]) -> "Workbench":
        """Lay out what a pod has when its trainer starts."""
        places = Places(root / "rows.jsonl", model, root / "results", root / "checkpoints")
        places.results.mkdir(parents=True)
        places.rows.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        bench = cls(root, places)
        bench.tell(said)
        return bench

    def tell(self, said: dict[str, Any]) -> None:
        """Write tune.json."""
        (self.root / "tune.json").write_text(json.dumps(said), encoding="utf-8")

    @property
    def job(self) -> Job:
        """What the trainer reads of it."""
        return parse((self.root / "tune.json").read_text(encoding="utf-8"))

    def start(self, *tricks: Trick) -> Any:
        """Start a run."""
        places = self.places
        argv = ["--job", self.root / "tune.json", "--rows", places.rows, "--model", places.model]
        argv += ["--results", places.results, "--checkpoints", places.checkpoints]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["kaito_tuner.trainer"])
        target = context.Process(target=_child, args=([*map(str, argv)], str(self.root), tricks))
        target.start()
        return target

    def outcome(self, started: Any) -> Outcome:
        """Wait for a run."""
        started.join()
        told = (self.root / "stdout").read_text(encoding="utf-8").splitlines()
        log = (self.root / "stderr").read_text(encoding="utf-8", errors="replace")
        return Outcome(started.exitcode, [json.loads(line) for line in told], log)

    def run(self, *tricks: Trick) -> Outcome:
        """Start a run and wait for it."""
        return self.outcome(self.start(*tricks))

    def adapter(self) -> dict[str, bytes]:
        """Answer the files of the adapter."""
        return {file.name: file.read_bytes() for file in self.places.adapter.iterdir()}

    def checkpoints(self) -> list[str]:
        """Name the folders of checkpoints, the oldest first."""
        return sorted((folder.name for folder in self.places.checkpoints.iterdir()), key=lambda name: int(name[11:]))


def _child(argv: Sequence[str], root: str, tricks: Sequence[Trick]) -> None:
    """Be the process of a run."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        with (Path(root) / name).open("wb") as file:
            os.dup2(file.fileno(), number)
    for trick in tricks:
        trick()
    code = train.main(argv)
    sys.stdout.flush()
    sys.exit(code)


def signal_after_step(number: int, step: int) -> None:
    """Send this process a signal when a step is done."""
    from kaito_tuner import trainer

    before = trainer.Watch.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == step:
            os.kill(os.getpid(), number)
        before(self, args, state, control, **more)

    trainer.Watch.on_step_end = on_step_end  # type: ignore[method-assign]


def signal_while_loading(number: int) -> None:
    """Send this process a signal while it loads the model."""
    from kaito_tuner import trainer

    def load(_self: Any) -> None:
        os.kill(os.getpid(), number)

    trainer.Run._model = load  # type: ignore[assignment, method-assign]


def kill_at_touch(folder: str, which: int, log: str) -> None:
    """Kill this process when it touches files below a folder for the which-th time; log counts the touches."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir"):
            return
        if not (arguments and isinstance(arguments[0], str | os.PathLike) and str(arguments[0]).startswith(folder)):
            return
        count += 1
        with open(log, "w", encoding="utf-8") as file:  # noqa: PTH123 - one call that does nothing else
            file.write(str(count))
        if count == which:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def little_memory(more: int) -> None:
    """Leave this process so many bytes more than it has when its training begins."""
    from kaito_tuner import trainer

    before = trainer.Watch.on_train_begin

    def on_train_begin(*args: Any, **more_: Any) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        before(*args, **more_)

    trainer.Watch.on_train_begin = on_train_begin  # type: ignore[method-assign]


def small_model(folder: Path, layers: int = 2) -> Path:
    """Write a Llama with random weights, built as the development model is."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        # Smaller weights than these could not tell one token from others, whatever they learn.
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
