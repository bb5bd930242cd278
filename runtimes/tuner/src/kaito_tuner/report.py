"""The report of a doctor: versions and checks as one JSON object."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Check:
    """One thing that was tried."""

    name: str
    ok: bool
    seconds: float
    detail: str


@dataclass
class Report:
    """What the image can do on this machine."""

    versions: Mapping[str, str]
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    def run(self, name: str, probe: Callable[[], str], clock: Callable[[], float]) -> None:
        """Run one probe and note its answer, or what it raised."""
        began = clock()
        try:
            ok, detail = True, probe()
        except Exception as cause:  # noqa: BLE001 - a doctor tells every kind of trouble
            ok, detail = False, f"{type(cause).__name__}: {cause}"
        self.checks.append(Check(name, ok, round(clock() - began, 3), detail))

    def json(self) -> str:
        """Write the report as JSON."""
        whole = {"ok": self.ok, "versions": dict(self.versions), "checks": [asdict(check) for check in self.checks]}
        return json.dumps(whole, indent=2)
