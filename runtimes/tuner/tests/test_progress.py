"""What a run says while it works."""

import io
import json

import pytest

from kaito_tuner.progress import Meter, Reporter, curve


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_loss_is_told_with_speed_and_rest() -> None:
    clock, out = Clock(), io.StringIO()
    meter = Meter(clock)
    meter.begin(10, 30)
    meter.tokens, clock.now = 500, 105.0
    Reporter(out, meter).progress(15, {"loss": 1.23456, "learning_rate": 1e-4})
    assert told(out) == [
        {
            "event": "progress",
            "step": 15,
            "totalSteps": 30,
            "loss": 1.2346,
            "learningRate": 1e-4,
            "tokensPerSecond": 100.0,
            "remainingSeconds": 15.0,
        }
    ]


def test_steps_without_a_loss_are_told_once_a_second() -> None:
    clock, out = Clock(), io.StringIO()
    meter = Meter(clock)
    meter.begin(0, 100)
    reporter = Reporter(out, meter)
    for step in range(1, 31):
        clock.now += 0.125
        reporter.progress(step)
    assert [line["step"] for line in told(out)] == [1, 9, 17, 25]


def test_time_and_tokens_of_earlier_pods_count_and_their_speed_does_not() -> None:
    clock = Clock()
    meter = Meter(clock, earlier_seconds=50.0, earlier_tokens=5)
    meter.begin(0, 10)
    meter.tokens, clock.now = 20, 102.0
    assert (meter.all_seconds, meter.all_tokens, meter.rate()) == (52.0, 25, 10.0)


def test_before_the_first_step_there_is_no_speed() -> None:
    meter = Meter(Clock())
    meter.begin(4, 10)
    assert (meter.rate(), meter.remaining(4)) == (0.0, 0.0)


def test_what_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Reporter(io.StringIO(), Meter(Clock())).say("progress", loss=float("nan"))


def test_a_short_curve_stays_and_a_long_one_keeps_mean_and_end() -> None:
    assert curve([(1, 3.0), (2, 1.0)]) == [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 1.0}]
    points = [(step, float(step)) for step in range(1, 1001)]
    thin = curve(points)
    assert len(thin) == 64
    assert thin[-1]["step"] == 1000
    assert thin[0] == {"step": 15, "loss": 8.0}
    assert curve([]) == []
