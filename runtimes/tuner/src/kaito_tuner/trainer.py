"""The training itself, with TRL, PEFT and bitsandbytes. Importing this takes seconds."""

import contextlib
import json
import logging
import resource
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainerState,
    get_scheduler,
)
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from kaito_tuner import checkpoints, plan
from kaito_tuner import rows as rows_module
from kaito_tuner.head import add_lean_loss
from kaito_tuner.job import Job, Places
from kaito_tuner.problem import CONFIG_INVALID, TRAINING_FAILED, ProblemError, StoppedError
from kaito_tuner.progress import Reporter, curve

log = logging.getLogger(__name__)

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def machine() -> plan.Machine:
    """Look at what there is to train on."""
    if not torch.cuda.is_available():
        # torch has no public names for these. What its kernels call support of bfloat16 begins with
        # AVX-512 alone, where it is unpacked in software at half the speed of float32.
        return plan.Machine(0, torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return plan.Machine(torch.cuda.device_count(), torch.cuda.is_bf16_supported(including_emulation=False))


def vocabulary(model: Path) -> int:
    """Answer how many tokens a model knows."""
    return int(AutoConfig.from_pretrained(model).get_text_config().vocab_size)


class Collator:
    """Makes tensors of rows."""

    def __init__(self, pad_id: int, multiple: int | None) -> None:
        """Keep what padding is made of."""
        self.pad_id, self.multiple = pad_id, multiple

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad rows to one length and mask what is not trained."""
        batch = rows_module.pad([(row["input_ids"], row["train"]) for row in rows], self.pad_id, self.multiple)
        return {
            "input_ids": torch.tensor(batch.ids, dtype=torch.long),
            "attention_mask": torch.tensor(batch.mask, dtype=torch.long),
            "labels": torch.tensor(batch.labels, dtype=torch.long),
        }


def dataset(rows: rows_module.Rows, order: Sequence[int]) -> datasets.Dataset:
    """Hand the rows over in an order, without a copy on disk."""
    whole = pa.table(
        {
            "input_ids": _lists(rows.ids, rows.offsets),
            "train": _lists(rows.ranges, rows.range_offsets),
            "length": pa.array(np.diff(np.frombuffer(rows.offsets, dtype=np.int64))),
        }
    )
    return datasets.Dataset(whole.take(pa.array(order, type=pa.int64())))


def _lists(values: Any, offsets: Any) -> pa.Array:
    flat = np.frombuffer(values, dtype=np.int32) if len(values) else np.empty(0, dtype=np.int32)
    return pa.LargeListArray.from_arrays(pa.array(np.frombuffer(offsets, dtype=np.int64)), pa.array(flat))


class Watch(TrainerCallback):  # type: ignore[misc]
    """Tells progress, seals checkpoints, and stops when asked to."""

    def __init__(self, job: Job, places: Places, reporter: Reporter, asked_to_stop: Callable[[], bool]) -> None:
        """Keep what is told and where."""
        self.job, self.places, self.reporter, self.asked_to_stop = job, places, reporter, asked_to_stop

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Start the clock."""
        self.reporter.meter.begin(state.global_step, state.max_steps)
        self.reporter.say("training", step=state.global_step, totalSteps=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell a step, and leave with a checkpoint when asked to."""
        if not control.should_log:
            self.reporter.progress(state.global_step)
        if self.asked_to_stop() and state.global_step < state.max_steps:
            control.should_training_stop = True
            control.should_save = args.save_strategy != "no"

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        """Tell a loss; the summary at the end has none."""
        if logs and "loss" in logs:
            self.reporter.progress(state.global_step, logs)

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Seal the checkpoint that was just written, then let old ones go."""
        meter = self.reporter.meter
        folder = Path(args.output_dir) / f"{checkpoints.PREFIX}{state.global_step}"
        done = checkpoints.Checkpoint(folder, state.global_step, meter.all_seconds, meter.all_tokens)
        checkpoints.seal(done, self.job.run_id)
        checkpoints.rotate(folder.parent, plan.keep(self.job))
        self.reporter.say("checkpoint", step=state.global_step)


class Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer without what a run in a pod has no use for."""

    def __init__(self, *args: Any, reporter: Reporter, **kwargs: Any) -> None:
        """Train adapters in float32: what is saved is then what was trained, and a resumed run the same run."""
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)
        self.reporter = reporter
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.lean = (
            self.args.use_cpu
            and self.args.loss_type == "nll"
            and self.label_smoother is None
            and not self.aux_loss_enabled
            and add_lean_loss(self.model.get_base_model())
        )

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute the loss on trained tokens only; on a CPU by our own short way."""
        if model.training:
            self.reporter.meter.tokens += int(inputs["attention_mask"].sum())
        if not self.lean or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        total, count = model(**inputs, lean_loss=True)
        items = count if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(items).clamp(min=1)

    def _maybe_log_save_evaluate(self, tr_loss: Any, *args: Any, **kwargs: Any) -> None:
        """End a run whose loss is no number, before anything of it is saved."""
        if not bool(torch.isfinite(tr_loss)):
            raise ProblemError(
                TRAINING_FAILED,
                f"The loss is no number at step {self.state.global_step}; "
                f"lower TrainingArguments.learning_rate (now {self.args.learning_rate:g})",
            )
        super()._maybe_log_save_evaluate(tr_loss, *args, **kwargs)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write no page for a hub."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save the adapter alone: no tokenizer, no pickled arguments."""
        save_adapter(self.model, Path(output_dir or self.args.output_dir), {})


def save_adapter(model: PeftModel, folder: Path, facts: dict[str, Any]) -> None:
    """Write the adapter's two files; facts replace keys of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / ADAPTER_FILES[1], metadata={"format": "pt"})
    config = dict(model.peft_config["default"].to_dict()) | {"inference_mode": True} | facts
    said = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    (folder / ADAPTER_FILES[1]).chmod(0o644)
    (folder / ADAPTER_FILES[0]).write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


class Run:
    """One run in one pod."""

    def __init__(self, job: Job, places: Places, reporter: Reporter, asked_to_stop: Callable[[], bool]) -> None:
        """Read the rows and decide what can be decided without the model."""
        self.job, self.places, self.reporter, self.asked_to_stop = job, places, reporter, asked_to_stop
        self.machine = machine()
        torch.set_num_threads(job.threads)
        with places.rows.open(encoding="utf-8") as lines:
            self.rows = rows_module.read(lines, vocabulary(places.model))
        seed = int(job.value("DatasetConfig", "shuffle_seed", 42))
        shuffled = bool(job.value("DatasetConfig", "shuffle_dataset", True))
        share = float(job.value("DatasetConfig", "train_test_split", 1.0))
        self.trained, self.held_out = rows_module.split(len(self.rows), share, seed if shuffled else None)
        self.total = plan.steps(job, len(self.trained))
        self.precision = plan.precision(job, self.machine)

    def remedy(self) -> str:
        """Say what would need less memory."""
        return plan.remedy(self.job, self.machine, self.rows.longest)

    def load(self) -> None:
        """Load the model, up to the first step."""
        self.trainer = self._trainer()

    def train(self) -> dict[str, Any]:
        """Train, leave the adapter, and answer how it went."""
        trainer = self.trainer
        resumed = checkpoints.sweep(self.places.checkpoints, self.job.run_id)
        meter = self.reporter.meter
        if resumed:
            meter.earlier_seconds, meter.earlier_tokens = resumed.seconds, resumed.tokens
            self.reporter.say("resumed", step=resumed.step, losses=curve(_points(_state(resumed))))
        if resumed and resumed.step >= self.total:
            self._restore(trainer, resumed)
        else:
            trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
        if trainer.state.global_step < self.total:
            raise StoppedError(f"The trainer was told to stop after step {trainer.state.global_step} of {self.total}")
        self._publish(trainer.model)
        return self._sum_up(trainer, resumed.step if resumed else 0)

    def _trainer(self) -> Trainer:
        """Load the model and put TRL's trainer around it."""
        with _blaming("TrainingArguments"):
            said = plan.arguments(self.job, self.machine, self.precision, self.total)
            arguments = SFTConfig(output_dir=str(self.places.checkpoints), **said)
            _try_schedule(arguments, self.total)
        model = self._model()
        with _blaming("LoraConfig"):
            adapter = LoraConfig(**plan.lora(self.job))
        linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
        lost = plan.missing_modules(self.job, linear)
        if lost:
            raise ProblemError(CONFIG_INVALID, lost)
        evaluated = bool(self.held_out) and arguments.eval_strategy != "no"
        with _blaming("LoraConfig"):
            trainer = Trainer(
                model=model,
                args=arguments,
                peft_config=adapter,
                processing_class=_no_tokenizer(),
                data_collator=Collator(0, self.job.value("DataCollator", "pad_to_multiple_of")),
                train_dataset=dataset(self.rows, self.trained),
                eval_dataset=dataset(self.rows, self.held_out) if evaluated else None,
                callbacks=[Watch(self.job, self.places, self.reporter, self.asked_to_stop)],
                reporter=self.reporter,
            )
        self._refuse_unservable(trainer.model)
        return trainer

    def _model(self) -> Any:
        """Load the base model, in 4 or 8 bits where the method says so."""
        numbers = self.precision
        more: dict[str, Any] = {"dtype": getattr(torch, numbers.weights), "attn_implementation": "sdpa"}
        packed = plan.quantization(self.job, numbers)
        if packed is not None:
            for key in ("bnb_4bit_compute_dtype", "bnb_4bit_quant_storage"):
                if key in packed:
                    packed[key] = getattr(torch, packed[key])
            with _blaming("QuantizationConfig"):
                more["quantization_config"] = BitsAndBytesConfig(**packed)
        if self.machine.gpus:
            more["device_map"] = {"": 0} if self.machine.gpus == 1 else "auto"
        return AutoModelForCausalLM.from_pretrained(
            self.places.model, use_safetensors=True, trust_remote_code=False, **more
        )

    def _refuse_unservable(self, model: PeftModel) -> None:
        """Refuse adapters of layers that no engine takes adapters for."""
        for name, module in model.named_modules():
            if isinstance(module, LoraLayer) and not isinstance(module, _linear_layers()):
                layer = name.rsplit(".", 1)[-1]
                message = f"LoraConfig.target_modules names {layer!r}, whose adapter no engine serves; use all-linear"
                raise ProblemError(CONFIG_INVALID, message)

    def _restore(self, trainer: Trainer, done: checkpoints.Checkpoint) -> None:
        """Take over a run that had only its adapter left to write."""
        trainer.model.load_adapter(str(done.folder), "default", is_trainable=True)
        trainer.state = _state(done)
        self.reporter.meter.begin(done.step, self.total)

    def _publish(self, model: PeftModel) -> None:
        """Leave the adapter whole or not at all."""
        target = self.places.adapter
        new = target.with_name(target.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        save_adapter(model, new, {"base_model_name_or_path": self.job.hub_id, "revision": self.job.hub_revision})
        for file in sorted(new.iterdir()):
            checkpoints.flush(file)
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
        checkpoints.flush(target.parent)

    def _sum_up(self, trainer: Trainer, resumed: int) -> dict[str, Any]:
        """Answer contract.Training."""
        meter, state = self.reporter.meter, trainer.state
        points = _points(state)
        seconds, model = meter.all_seconds, trainer.model
        said: dict[str, Any] = {
            "steps": state.global_step,
            "epochs": round(float(state.epoch or 0), 4),
            "resumedFrom": resumed,
            "firstLoss": round(points[0][1], 4) if points else 0.0,
            "lastLoss": round(points[-1][1], 4) if points else 0.0,
            "seconds": round(seconds, 3),
            "tokensPerSecond": round(meter.all_tokens / seconds, 2) if seconds else 0.0,
            "rank": model.peft_config["default"].r,
            "trainedParameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "peakBytes": peak_bytes(),
            "losses": curve(points),
        }
        return said


def _try_schedule(arguments: SFTConfig, total: int) -> None:
    """Make the schedule of the learning rate once for nothing: the library looks at its arguments too late."""
    nothing = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=arguments.learning_rate)
    get_scheduler(
        arguments.lr_scheduler_type,
        nothing,
        num_warmup_steps=arguments.get_warmup_steps(total),
        num_training_steps=total,
        scheduler_specific_kwargs=arguments.lr_scheduler_kwargs,
    )


def _state(done: checkpoints.Checkpoint) -> TrainerState:
    return TrainerState.load_from_json(str(done.folder / "trainer_state.json"))


def _points(state: TrainerState) -> list[tuple[int, float]]:
    """Answer the curve so far, that of earlier pods included."""
    return [(int(entry["step"]), float(entry["loss"])) for entry in state.log_history if "loss" in entry]


def peak_bytes() -> int:
    """Answer the most memory that was used: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _linear_layers() -> tuple[type, ...]:
    """Answer PEFT's adapters of linear layers: of plain ones, and of those in 4 and 8 bits."""
    from peft.tuners.lora.bnb import Linear4bit, Linear8bitLt

    return LoraLinear, Linear4bit, Linear8bitLt


def _no_tokenizer() -> PreTrainedTokenizerFast:
    """Stand in for a tokenizer: the trainer wants one, and the rows need none."""
    plain = Tokenizer(models.WordLevel({"<none>": 0}, unk_token="<none>"))
    return PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<none>")


@contextlib.contextmanager
def _blaming(section: str) -> Any:
    """Tell a value that a library refuses with the section that it came from."""
    try:
        yield
    except (TypeError, ValueError, ImportError, KeyError) as cause:
        text = " ".join(str(cause).split())[:600]
        raise ProblemError(CONFIG_INVALID, f"{section} is refused: {text}") from cause
