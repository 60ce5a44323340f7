"""The tables: what each is to show, and what it takes.

A1 to A6 are the claims of AACFT (arXiv 2412.00534) as far as they can be rebuilt, M1 to M5 those
of MIR3 (arXiv 2310.09833), and the headline compares whole methods. A row's arm, and what differs
from its settings, decide a training; the same training serves every table that asks for it.
"""

from __future__ import annotations

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.arms import Arm
from swarmhold.policies.learning.plan import Column, Row, Table

NOMINAL = Column("nominal")
FAULTS = (
    Column("frozen", "freeze"),
    Column("runaway", "runaway"),
    Column("degraded", "slow"),
    Column("intermittent", "reboot"),
    Column("spoof", "spoof"),
)
DOUBLE = Column("N x 2", team=2)
ADVERSARY = Column("trained adversary", faulty=0.1, attack=20_000)
ALARMS = Column("5 % false alarms", alarms=0.05)
BREAKS = Column("two break", "freeze", faulty=0.4)
_ATTACKED = (
    NOMINAL,
    Column("one runaway", "runaway", 0.1),
    Column("one spoofs", "spoof", 0.1),
)
HUNT = (("multibroken", "crazyflie"),)
FROM_NOTHING = {
    **{"warm_start": 0, "iterations": 150, "teams": 32, "robots": 5, "min_robots": 5},
    **{"fault_schedule": "uniform", "regulariser": "none", "gamma": 0.9, "actor_lr": 5e-4},
    "replay": {"steps": 80, "noise": 0.3},
}
SHORT = {
    **{"teams": 12, "epochs": 2, "warm_start": 10, "iterations": 12},
    "replay": {"critic_first": 4, "noise": 0.2, "anchor": 1.0},
}
_NONE = {"regulariser": "none"}
_GROWN: tuple[Arm, ...] = ("maddpg", "ft", "acft", "aaft", "aacft")
_PRIORITY = {"replay": {"prioritised": True}}


def _mir(kind: str, strength: float, arm: Arm = "ours") -> Row:
    return Row(
        f"{kind}, lambda {strength:g}", arm,
        options={"regulariser": kind, "mir_lambda": strength},
    )  # fmt: skip


HEADLINE = Table(
    name="headline",
    title="Whole methods under faults",
    claim="Health weights from the real supervisor keep the team working under every fault.",
    scenarios=(("rendezvous", "epuck"), ("coverage", "epuck"), ("pursuit", "crazyflie")),
    rows=(
        Row("MLP", "mlp"),
        Row("MADDPG, told", "maddpg", "oracle"),
        Row("FT-Attn", "ft-attn"),
        Row("AACFT, told", "aacft", "oracle", _PRIORITY),
        Row("ours, weights 1", "ours", "none", _NONE),
        Row("ours, supervisor", "ours", "supervisor", _NONE),
        Row("ours, oracle", "ours", "oracle", _NONE),
        Row("ours + MIR-F, supervisor", "ours", "supervisor", {"mir_lambda": 0.01}),
    ),
    columns=(NOMINAL, *FAULTS, ADVERSARY, DOUBLE, ALARMS),
    metric="score",
    also=("returns",),
    options=SHORT,
)

TABLES: dict[str, Table] = {
    "headline": HEADLINE,
    "A1": Table(
        "A1", "Attention against fixed places, faults at random times",
        "An actor and a critic with attention catch at least as many evaders as MADDPG's MLPs.",
        HUNT, (Row("MADDPG", "maddpg", "oracle"), Row("AACFT", "aacft", "oracle")),
        (NOMINAL, BREAKS), also=("score",), options=FROM_NOTHING, logs=True,
    ),
    "A2": Table(
        "A2", "Attention in the actor, in the critic, in both",
        "Both sides matter.",
        HUNT, tuple(Row(arm.upper(), arm, "oracle") for arm in _GROWN),
        (NOMINAL, BREAKS), also=("score",), options=FROM_NOTHING, logs=True,
    ),
    "A3": Table(
        "A3", "Prioritised replay",
        "A queue for every robot makes learning faster.",
        HUNT, (
            Row("AACFT", "aacft", "oracle"),
            Row("AACFT, prioritised", "aacft", "oracle", _PRIORITY),
        ),
        (NOMINAL, BREAKS), also=("score",), options=FROM_NOTHING, logs=True,
    ),
    "A4": Table(
        "A4", "Any robot, any time",
        "Success does not depend on who fails, nor when.",
        HUNT, (Row("MADDPG", "maddpg", "oracle"), Row("AACFT", "aacft", "oracle")),
        tuple(
            Column(f"robot {robot}, {when:.0%}", "freeze", robot=robot, at=when)
            for robot in range(5)
            for when in (0.0, 0.25, 0.5, 0.75)
        ),
        options=FROM_NOTHING,
    ),
    "A6": Table(
        "A6", "Told and not told",
        "Without the fault flag AACFT loses its gain; health weights bring it back.",
        HUNT, (
            Row("AACFT, told", "aacft", "oracle"),
            Row("AACFT, not told", "aacft", "none", {"told": False}),
            Row("health weights, oracle", "ours-maddpg", "oracle"),
            Row("health weights, supervisor", "ours-maddpg", "supervisor"),
            Row("health weights all 1", "ours-maddpg", "none"),
        ),
        (NOMINAL, BREAKS), also=("score",), options=FROM_NOTHING, logs=True,
    ),
    "M1": Table(
        "M1", "Mutual-information regularisation under attack",
        "For some lambda the attacked return rises and the nominal one falls by less than 5 %.",
        (("rendezvous", "epuck"),),
        (
            Row("no regulariser", "ours", options=_NONE),
            *(_mir("mir-f", strength) for strength in (0.003, 0.01, 0.03, 0.1)),
            *(_mir("mir3", strength) for strength in (0.003, 0.01, 0.03)),
            *(_mir("deviation", strength) for strength in (0.003, 0.01, 0.03)),
        ),
        (*_ATTACKED, ADVERSARY),
        metric="returns", options=SHORT,
    ),
    "M2": Table(
        "M2", "Mutual information against max-min learning",
        "MIR3 on MADDPG holds under attack at least as well as M3DDPG.",
        (("rendezvous", "epuck"),),
        (
            Row("MADDPG", "maddpg"),
            Row("M3DDPG", "m3ddpg"),
            Row("MADDPG + MIR3", "maddpg", options={"regulariser": "mir3", "mir_lambda": 0.01}),
        ),
        _ATTACKED,
        metric="returns", options={**SHORT, "robots": 6, "told": False},
    ),
    "M4": Table(
        "M4", "Mutual information against plain damping, on MADDPG",
        "Holding the action near its mean does not give what mutual information gives.",
        (("rendezvous", "epuck"),),
        (
            Row("MADDPG", "maddpg"),
            *(_mir("mir3", strength, "maddpg") for strength in (0.003, 0.01, 0.03)),
            *(_mir("deviation", strength, "maddpg") for strength in (0.003, 0.01, 0.03)),
        ),
        (*_ATTACKED, ADVERSARY),
        metric="returns", options={**SHORT, "robots": 6, "told": False},
    ),
    "speed": Table(
        "speed", "How long it takes",
        "A solved task from random weights in minutes, on one core.",
        (("rendezvous", "epuck"), ("pursuit", "crazyflie")),
        (
            Row("imitation first", "ours", "supervisor", _NONE),
            Row("from nothing", "ours", "supervisor", {**_NONE, "warm_start": 0, "iterations": 40}),
        ),
        (NOMINAL,), options={"teams": 16, "epochs": 2},
        solved={"rendezvous": ("return", -13.0), "pursuit": ("success", 0.8)},
    ),
    "M5": Table(
        "M5", "More than one attacker",
        "The regulariser helps against one, two and three runaways of ten.",
        (("rendezvous", "epuck"),),
        (Row("no regulariser", "ours", options=_NONE), _mir("mir-f", 0.01), _mir("mir3", 0.01)),
        tuple(Column(f"{n} runaway", "runaway", n / 10) for n in (1, 2, 3)),
        metric="returns", options=SHORT,
    ),
}  # fmt: skip


def table_of(name: str) -> Table:
    """The table of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TABLES:
        raise ConfigError(f"unknown table {name!r}; choose one of: {', '.join((*TABLES, 'M3'))}")
    return TABLES[name]
