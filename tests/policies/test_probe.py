"""The probe prefers float32 and one thread, unless something else is clearly better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swarmhold.policies import probe, train
from swarmhold.policies.bench import play
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.mappo import PLAIN, Gradients, gradients_of
from swarmhold.policies.probe import (
    MODES,
    agreement,
    candidates,
    choose_mode,
    choose_threads,
    flat_gradient,
    pick,
)

TINY = TrainConfig(
    robots=3, teams=2, warm_start=0, iterations=2, epochs=1, minibatch=256, width=16, heads=2,
    trunk="shared", precision="auto",
)  # fmt: skip
BF16 = MODES["bf16"]


@pytest.fixture
def step() -> Gradients:
    learner = train.make_learner(TINY)
    batch = play(TINY, learner)
    return gradients_of(
        TINY, learner.actor, learner.critic, learner.scale, batch, 0.3, 0.001, PLAIN
    )


def test_only_a_clear_gain_that_agrees_is_taken() -> None:
    assert pick({PLAIN: 1.0, BF16: 2.0}, {PLAIN: 1.0, BF16: 0.999}) is BF16
    assert pick({PLAIN: 1.0, BF16: 1.05}, {PLAIN: 1.0, BF16: 0.999}) is PLAIN
    assert pick({PLAIN: 1.0, BF16: 9.0}, {PLAIN: 1.0, BF16: 0.98}) is PLAIN
    one = torch.tensor([1.0, 2.0])
    assert agreement(one, torch.tensor([torch.nan, 2.0])) == -1.0
    assert agreement(one, 3 * one) == pytest.approx(1.0)


def test_compiling_needs_a_compiler_and_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = TINY.model_copy(update={"compile": True})
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/c++")
    assert len(candidates(auto, 1000)) == 4 and len(candidates(auto, 3)) == 2
    fixed = auto.model_copy(update={"precision": "f32"})
    assert candidates(fixed, 3)[0].compiled
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert len(candidates(auto, 1000)) == 2 and candidates(fixed, 3) == [PLAIN]


def test_measuring_changes_nothing(
    step: Gradients,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = flat_gradient(step)
    monkeypatch.setattr(probe, "GAIN", 0.0)
    monkeypatch.setattr(probe, "AGREE", -1.0)
    assert choose_mode(TINY, step, 2) in (PLAIN, BF16)
    assert torch.equal(before, flat_gradient(step))
    assert agreement(before, flat_gradient(replace(step, mode=BF16))) > 0.99
    said = capsys.readouterr().err.strip()
    assert said.startswith("learning in ") and "\n" not in said


def test_threads_are_one_unless_much_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def work(gain: float) -> None:
        now[0] += 1.0 / (gain if torch.get_num_threads() > 1 else 1.0)

    assert choose_threads(lambda: work(1.2), most=2) == 1
    assert choose_threads(lambda: work(1.8), most=2) == 2
    assert choose_threads(lambda: work(9.0), most=1) == 1
    assert torch.get_num_threads() == 1


def test_the_choice_is_stored_and_kept_on_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "choose_mode", lambda *_: BF16)

    def stop(done: int, total: int, figures: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.train(TINY, tmp_path / "run", False, stop)
    assert load_run(tmp_path / "run")[2]["mode"] == "bf16"
    monkeypatch.setattr(train, "choose_mode", lambda *_: pytest.fail("measured again"))
    train.train(TINY, tmp_path / "run", True, lambda *_: None)


def test_after_a_slow_iteration_threads_are_measured_again() -> None:
    learner, seconds = train.make_learner(TINY), []
    learner.threads = 2
    for spent in (1.0, 1.1, 0.9, 1.2):
        train._watch(TINY.model_copy(update={"threads": 0}), learner, seconds, spent)
    assert learner.threads == 2
    train._watch(TINY.model_copy(update={"threads": 0}), learner, seconds, 4.0)
    assert learner.threads == 0 and torch.get_num_threads() == 1
