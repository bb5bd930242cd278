"""What a run says while it works: one JSON object a line, for the runner beside it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

# A curve has at most this many points, as internal/runner/contract says.
POINTS = 64

# Between two lines of progress that bring no new loss.
PATIENCE = 1.0


@dataclass
class Meter:
    """Speed and rest of a training."""

    clock: Callable[[], float]
    total: int = 0
    # What earlier pods of the run have done.
    earlier_seconds: float = 0.0
    earlier_tokens: int = 0
    tokens: int = 0
    began: float = 0.0
    first_step: int = 0

    def begin(self, step: int, total: int) -> None:
        """Start the clock at a step."""
        self.began, self.first_step, self.total = self.clock(), step, total

    @property
    def seconds(self) -> float:
        """How long this pod has trained."""
        return self.clock() - self.began

    @property
    def all_seconds(self) -> float:
        """How long the run has trained, over all its pods."""
        return self.earlier_seconds + self.seconds

    @property
    def all_tokens(self) -> int:
        """How many tokens the run has seen, over all its pods."""
        return self.earlier_tokens + self.tokens

    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0

    def remaining(self, step: int) -> float:
        """Seconds to the end at the speed so far."""
        done = step - self.first_step
        return (self.total - step) * self.seconds / done if done > 0 else 0.0


@dataclass
class Reporter:
    """Writes the lines."""

    out: TextIO
    meter: Meter
    last: float = field(default=-math.inf)

    def say(self, event: str, **more: Any) -> None:
        """Write one line."""
        print(json.dumps({"event": event, **more}, allow_nan=False), file=self.out, flush=True)

    def progress(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Tell a finished step; without a new loss not more often than once a second."""
        now = self.meter.clock()
        if logs is None and now - self.last < PATIENCE:
            return
        self.last = now
        said: dict[str, Any] = {"step": step, "totalSteps": self.meter.total}
        if logs is not None:
            said |= {"loss": round(float(logs["loss"]), 4), "learningRate": float(logs.get("learning_rate", 0))}
        said["tokensPerSecond"] = round(self.meter.rate(), 2)
        said["remainingSeconds"] = round(self.meter.remaining(step), 1)
        self.say("progress", **said)


def curve(points: Sequence[tuple[int, float]], most: int = POINTS) -> list[dict[str, float]]:
    """Thin a curve out: neighbours become one point with their mean, at the last one's step."""
    count = min(most, len(points))
    thin = []
    for place in range(count):
        part = points[place * len(points) // count : (place + 1) * len(points) // count]
        thin.append({"step": part[-1][0], "loss": round(sum(loss for _, loss in part) / len(part), 4)})
    return thin
