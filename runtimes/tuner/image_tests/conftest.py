"""Fixtures of the tests inside of the tuner image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench, rows, small_model


@pytest.fixture(scope="session", name="model")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, model: Path) -> Callable[..., Workbench]:
    """Make workbenches, each in a folder of its own."""
    made: list[Workbench] = []

    def bench(said: dict[str, Any], lines: list[dict[str, Any]] | None = None) -> Workbench:
        root = tmp_path / str(len(made))
        made.append(Workbench.make(root, model, said, rows() if lines is None else lines))
        return made[-1]

    return bench
