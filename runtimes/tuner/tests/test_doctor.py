"""The doctor without torch."""

import io
import itertools
import json
from importlib import metadata

import pytest

from kaito_tuner import doctor


class Healthy:
    def forward_backward(self) -> str:
        return "loss 1"

    def qlora_step(self) -> str:
        return "loss 2"


class Broken(Healthy):
    def qlora_step(self) -> str:
        raise ImportError("no module named 'trl'")


def test_a_healthy_image_reports_each_check_with_its_time() -> None:
    report = doctor.examine(Healthy(), {"torch": "2"}, itertools.count().__next__)
    assert json.loads(report.json()) == {
        "ok": True,
        "versions": {"torch": "2"},
        "checks": [
            {"name": "forward and backward", "ok": True, "seconds": 1, "detail": "loss 1"},
            {"name": "a QLoRA step", "ok": True, "seconds": 1, "detail": "loss 2"},
        ],
    }


def test_a_check_that_raises_is_told_and_the_others_still_run() -> None:
    report = doctor.examine(Broken(), {}, itertools.count().__next__)
    assert not report.ok
    assert [check.ok for check in report.checks] == [True, False]
    assert report.checks[1].detail == "ImportError: no module named 'trl'"


def test_a_missing_package_is_named_and_not_fatal() -> None:
    def lookup(name: str) -> str:
        if name == "trl":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    found = doctor.versions(["torch", "trl"], lookup)
    assert (found["torch"], found["trl"]) == ("1.0", "not installed")


def test_versions_alone_import_nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    out = io.StringIO()
    assert doctor.main(["--versions"], out) == 0
    assert json.loads(out.getvalue())["checks"] == []
