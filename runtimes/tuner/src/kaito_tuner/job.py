"""What the operator wrote down for a run: ``/etc/kaito/tune.json``, the part that training needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaito_tuner.problem import CONFIG_INVALID, ProblemError
from kaito_tuner.rules import SECTIONS

LORA, QLORA = "lora", "qlora"


@dataclass(frozen=True)
class Job:
    """A run."""

    run_id: str
    method: str
    # What adapter_config.json names as its base, and its revision.
    hub_id: str
    revision: str
    max_length: int
    threads: int
    # Section, key, value; typed and filled in by the operator.
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def hub_revision(self) -> str | None:
        """The revision at the hub; weights that came from an image have none."""
        return None if not self.revision or {":", "@"} & set(self.revision) else self.revision

    def section(self, name: str) -> Mapping[str, Any]:
        """Answer the keys of a section."""
        return self.settings.get(name) or {}

    def value(self, section: str, key: str, otherwise: Any = None) -> Any:
        """Answer one setting; null is as good as none."""
        found = self.section(section).get(key)
        return otherwise if found is None else found


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes."""

    rows: Path
    model: Path
    results: Path
    checkpoints: Path

    @property
    def adapter(self) -> Path:
        """The folder that is published."""
        return self.results / "adapter"

    @property
    def training(self) -> Path:
        """The file that sums the run up."""
        return self.results / "training.json"


def parse(text: str) -> Job:
    """Read a job; what is wrong with it is told with its field."""
    try:
        said = json.loads(text)
    except ValueError as cause:
        raise ProblemError(CONFIG_INVALID, f"tune.json is no JSON: {cause}") from cause
    if not isinstance(said, dict) or not isinstance(said.get("model"), dict):
        raise ProblemError(CONFIG_INVALID, "tune.json has no model")
    model, method, settings = said["model"], str(said.get("method", "")).lower(), said.get("settings") or {}
    if method not in (LORA, QLORA):
        raise ProblemError(CONFIG_INVALID, f"tuning.method is {method!r}; use {LORA} or {QLORA}")
    unknown = sorted(set(settings) - set(SECTIONS))
    if unknown:
        raise ProblemError(CONFIG_INVALID, f"The configuration has no section {unknown[0]}; use {', '.join(SECTIONS)}")
    run_id = str(said.get("runID", ""))
    if not run_id:
        raise ProblemError(CONFIG_INVALID, "tune.json has no runID")
    return Job(
        run_id=run_id,
        method=method,
        hub_id=str(model.get("hubID", "")),
        revision=str(model.get("revision", "")),
        max_length=int(model.get("maxLength") or 0),
        threads=max(1, int(said.get("threads") or 1)),
        settings=settings,
    )
