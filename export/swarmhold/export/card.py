"""The model card that travels in the bundle."""

from __future__ import annotations

from typing import Any

from swarmhold.export.parity import Parity
from swarmhold.hardware.memory import RESET
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.spec import PolicySpec
from swarmhold.policies.calibrate import accused
from swarmhold.policies.config import TrainConfig


def model_card(
    config: TrainConfig,
    spec: PolicySpec,
    parity: Parity,
    health: HealthSettings,
    table: dict[str, Any] | None,
) -> bytes:
    """Markdown for people who are asked to fly this.

    Args:
        config: of the training run.
        spec: contract.
        parity: proof of the export.
        health: calibrated thresholds.
        table: evaluation, if there is one.
    """
    action = ", ".join(
        f"{field.name} (+-{field.bound:g} {field.unit})" for field in spec.action_fields
    )
    lines = [
        f"# {config.scenario}, {config.robot}",
        "",
        f"Team policy for `{config.scenario}` with robots of class `{config.robot}`.",
        "One network for every robot; teammates enter by attention weighted with their health.",
        "",
        f"- Trained with teams of {config.min_robots} to {config.robots} robots, seed "
        f"{config.seed}: {config.warm_start} iterations of imitation, then {config.iterations} "
        f"of {config.algorithm.upper()}.",
        f"- Decides at {spec.rate_hz:g} Hz. Action: {action}, yaw frame.",
        f"- Export: {parity.cases} inferences over teams of 2 to 50 agree with the trained "
        f"network within {parity.worst:.1e}.",
        f"- Thresholds, calibrated on fault-free PyBullet episodes: accused is {accused(health)}.",
        *_memory(config),
        "",
        "## Limits",
        "",
        "- A robot that tells everybody the same plausible lie is found only where others see it.",
        "- A robot that moves wrongly and reports truthfully is found by the supervisor alone, and "
        "only if it does not merely do less than it should.",
        "- Weights between 0 and 1 only attenuate: a teammate that lies must get 0.",
    ]
    if table is not None:
        lines += ["", "## Results", "", *_results(table)]
    return ("\n".join(lines) + "\n").encode()


def _memory(config: TrainConfig) -> list[str]:
    """What to know of a policy that remembers."""
    if not config.recurrent:
        return []
    return [
        f"- Remembers {config.recurrent} values from one decision to the next: {RESET}. What a "
        "teammate said before it was masked may stay in them.",
    ]


def _results(table: dict[str, Any]) -> list[str]:
    """The evaluation as a markdown table."""
    nominal = table["nominal"]
    lines = [
        f"{table['robots']} robots, {table['episodes']} paired episodes, "
        f"{table['faulty']} faulty; error in metres over the last quarter of the episode.",
        "",
        "| fault | weights | return | score | error |",
        "|---|---|---|---|---|",
        f"| none | supervisor | {nominal['returns']:.2f} | {nominal['score']:.3f} | "
        f"{nominal['error_m']:.4f} |",
    ]
    lines += [
        f"| {row['fault']} | {row['weights']} | {row['returns']:.2f} | {row['score']:.3f} | "
        f"{row['error_m']:.4f} |"
        for row in table["rows"]
    ]
    return lines
