"""A joint network to a sealed bundle with one graph per robot."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from swarmhold.export.graph import exported
from swarmhold.export.parity import TOLERANCE
from swarmhold.export.seal import commit
from swarmhold.hardware.bundle import seal_bundle
from swarmhold.hardware.errors import BundleError
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.slices import SLICE_NAMES, Slice, SlicePlan, Source
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.policies.actor import scales
from swarmhold.policies.bun.cost import cost_of
from swarmhold.policies.bun.network import JointNetwork
from swarmhold.policies.bun.slice import SliceNetwork, Units, joint_hash

CASES = 32  # observations of every slice that are compared, and sealed


def slice_to_onnx(part: SliceNetwork) -> bytes:
    """Export one slice."""
    inputs, outputs = SLICE_NAMES
    widths = part.own.shape[1], part.remote.shape[1], part.valid.shape[1]
    example = tuple(torch.ones(2, width) for width in widths)
    axes = {name: {0: "B"} for name in (*inputs, *outputs)}
    return exported(part, example, inputs, outputs, axes)


def seal_slices(
    net: JointNetwork,
    out: Path,
    scenario: str,
    robot: str,
    own: tuple[int, ...],
    max_age_ms: float,
    training: dict[str, Any],
    health: HealthSettings | None = None,
) -> tuple[str, SlicePlan]:
    """Cut a joint network whose inputs are the contract's tokens, and seal the parts.

    Args:
        net: its robots hear teammates' tokens without the age, which makes them valid or not.
        out: bundle folder.
        scenario: it was made for.
        robot: robot class.
        own: components of the self token that it uses.
        max_age_ms: older messages are not valid.
        training: how it was made, for the manifest.
        health: calibrated settings; None: the defaults.

    Returns:
        The bundle's digest, and the plan.

    Raises:
        BundleError: a graph and its network differ by more than the tolerance.
    """
    spec = policy_spec(robot)
    units = Units(
        own=scales(spec.self_fields)[list(own)],
        heard=scales(spec.team_fields)[: net.shape.heard],
        action=torch.tensor(spec.action_bound),
    )
    parts = [SliceNetwork(net, one, units, apart=True) for one in range(net.shape.robots)]
    files: dict[str, bytes] = {}
    slices, worst = [], 0.0
    for part in parts:
        model = slice_to_onnx(part)
        golden, gap = proven(part, model)
        worst = max(worst, gap)
        names = f"slice_{part.robot}.onnx", f"golden_{part.robot}.npz"
        files |= {names[0]: model, names[1]: golden}
        sources = tuple(
            Source(robot=sender, indices=tuple(indices), max_age_ms=max_age_ms)
            for sender, indices in part.needs
        )
        used = [set(indices) for one in parts for to, indices in one.needs if to == part.robot]
        slices.append(
            Slice(
                robot=part.robot, file=names[0], golden=names[1], subscribe=sources,
                publish=tuple(sorted(set().union(*used))),
                slice_hash=hashlib.sha256(model).hexdigest(),
            )
        )  # fmt: skip
    if not worst <= TOLERANCE:
        raise BundleError(f"slices and network differ by {worst:.1e} (limit {TOLERANCE:g})")
    plan = SlicePlan(joint_hash=joint_hash(net), own=own, slices=tuple(slices))
    parity = {"tolerance": TOLERANCE, "worst": worst, "cases": CASES * len(parts)}
    files["parity.json"] = (json.dumps(parity, indent=2) + "\n").encode()
    files["model_card.md"] = _card(net, plan, spec, scenario, worst).encode()
    fields = {
        "name": f"{scenario}-{robot}-sliced",
        "scenario": scenario,
        "robot": robot,
        "team_sizes_trained": (len(parts), len(parts)),
        "rate_hz": spec.rate_hz,
        "training": {"commit": commit(), **training},
        "health": (health or HealthSettings()).to_dict(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "slices": plan,
    }
    return seal_bundle(out, fields, files), plan


def proven(part: SliceNetwork, model: bytes) -> tuple[bytes, float]:
    """Golden vectors of a slice, and the largest difference from its network in shares of bounds.

    Inputs are far beyond what is scaled to 1, some sources are not valid, and what they say is not
    finite.
    """
    rng = np.random.default_rng(part.robot)
    scales_of = part.own_scale.numpy(), part.remote_scale.numpy()
    own, remote = (rng.normal(0.0, 2.0, (CASES, len(scale))) * scale for scale in scales_of)
    valid = rng.random((CASES, part.valid.shape[1])) < 0.6
    remote[(valid @ part.spread.numpy()) < 0.5] = rng.choice([np.nan, np.inf, 1e30])
    feeds = dict(
        zip(SLICE_NAMES[0], (x.astype(np.float32) for x in (own, remote, valid)), strict=True)
    )
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (action,) = session.run(SLICE_NAMES[1], feeds)
    with torch.no_grad():
        wanted = part(*(torch.from_numpy(value) for value in feeds.values())).numpy()
    gap = float((np.abs(action - wanted) / part.bound.numpy()).max())
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, **{f"case0_{name}": value for name, value in {**feeds, "action": action}.items()}
    )
    return buffer.getvalue(), gap if np.isfinite(gap) else float("inf")


def _card(net: JointNetwork, plan: SlicePlan, spec: PolicySpec, scenario: str, worst: float) -> str:
    """Model card."""
    cost, n = cost_of(net), net.shape.robots
    names = [field.name for field in spec.self_fields for _ in range(field.size)]
    own = ", ".join(dict.fromkeys(names[index] for index in plan.own)) or "nothing"
    lines = [
        f"# {scenario}, {spec.robot}: a joint policy in slices",
        "",
        f"For exactly {n} robots, none of which can stand for another. {len(plan.edges)} of "
        f"{n * (n - 1)} flows of state messages are needed; {cost.share:.1%} of the FLOPs of a "
        f"dense network (N = {n}, {cost.density:.1%} of the weights between robots). Of itself a "
        f"robot uses: {own}. Slices and network differ by {worst:.1e} at most.",
        "",
        "| robot | hears | is needed by |",
        "|---|---|---|",
    ]
    for part in plan.slices:
        by = plan.dependants(part.robot)
        cells = (", ".join(map(str, found)) or "nobody" for found in (part.hears, by))
        lines.append(f"| {part.robot} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
