"""The card of a dataset as lines of text, and as one self-contained HTML file without scripts."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.report.html import (
    Html,
    chapter,
    document,
    figure,
    number,
    of,
    percent,
    plots,
    section,
    table,
    tiles,
)
from swarmhold.sim.dataset.card import BINS, FLEW, WIDEST, Card
from swarmhold.sim.gap.chart import Line, plot, style


def lines(card: Card) -> list[str]:
    """The card as text."""
    return [_what(card), *(f"{name}: {said}" for name, said in _rows(card)), *_warnings(card)]


def _what(card: Card) -> str:
    about, flights = card.about, card.about["flights"]
    return (
        f"{about['scenario']}, {about['robots']} robots of class {about['robot']}: "
        f"{about['ticks']} ticks, {about['seconds']:.0f} s, {_count(flights['train'], 'flight')} "
        f"to train on, {flights['held-out']} held out"
    )


def _rows(card: Card) -> list[tuple[str, str]]:
    returns = card.returns
    return [
        (
            "return of an episode",
            f"{returns['mean']:.2f} (spread {returns['std']:.2f}, {returns['min']:.2f} to "
            f"{returns['max']:.2f}; {_count(returns['episodes'], 'episode')} of "
            f"{returns['ticks_mean']:.0f} ticks); reward of a tick "
            f"{returns['reward_of_a_tick']:.4f}",
        ),
        ("coverage", _coverage(card.coverage)),
        ("health", _mix(card.faults)),
        ("broken on purpose", _mix(card.injected)),
        ("in command", _mix(card.behaviour)),
        ("age of what decisions answer, s", _spread(card.ages)),
        (
            f"applied from policy ({card.about['distance_to'][:16]}), shares",
            _spread(card.distance) + _let_be(card),
        ),
    ]


def _unfiltered(card: Card) -> float | None:
    """Median distance where no safety filter acts; where one does, it tells nothing of the policy.

    None where nobody knows, or where distances are to another policy than that which flew.
    """
    free: float | None = card.about["off_policy"]
    return free if card.about["distance_to"] == FLEW else None


def _let_be(card: Card) -> str:
    free = _unfiltered(card)
    return "" if free is None else f"; where the safety filter let it be: median {free:.3f}"


def _count(many: float, what: str) -> str:
    return f"{many:.0f} {what}{'' if many == 1 else 's'}"


def _coverage(found: dict[str, float]) -> str:
    if not found:
        return "not known: nobody says where robots are"
    return (
        f"{found['joint_pairs_per_tick']:.2f} distinct pairs of joint state and action per tick; "
        f"{percent(found['cells_of_a_robot'], 1)} of a robot's cells"
    )


def _mix(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent(share, 1)}" for name, share in shares.items())


def _spread(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items()) or "not known"


def _warnings(card: Card) -> list[str]:
    about, out = card.about, []
    if card.confused:
        told = ", ".join(f"what robot {i} was told moved robot {j}" for i, j in card.confused)
        out.append(f"do not learn from this: labels are swapped ({told})")
    if not about["flights"]["held-out"]:
        out.append("no flight is held out: nothing to judge a fine-tuned policy by")
    if about["unlike_task"]:
        out.append(
            f"{about['unlike_task']} ticks: landmarks are not those that the scenario would have; "
            "parts of the reward that depend on hidden ones may be off"
        )
    if "unknown" in card.behaviour:
        out.append("collected by others: nobody knows who was in command")
    return out


def render(card: Card, name: str) -> str:
    """The page, without any outside reference."""
    lead = f"{name}, sha256 of the manifest {card.about['digest'][:16]}"
    warned = Html("".join(f"<p class='alarm'>{of(line)}</p>" for line in _warnings(card)))
    told = Html(f"<div class='prose'>{table((), _rows(card))}</div>")
    what = Html(f"<p>{of(_what(card))}</p>")
    body = (
        chapter("Dataset", lead, _tiles(card), what, warned, told),
        section("How it went", plots(_rewards(card), _distances(card), pair=True)),
    )
    return document(f"{name}: dataset", body, (style(),))


def _tiles(card: Card) -> Html:
    faulty = 1.0 - card.faults.get("healthy", 0.0)
    returns, free = card.returns, _unfiltered(card)
    away, note = free, "median, shares; where no filter acts"
    if free is None:
        away, note = card.distance.get("median"), "median, shares"
    return tiles(
        (
            (f"{card.about['ticks']}", "ticks", _count(returns["episodes"], "episode")),
            (f"{returns['mean']:.2f}", "return", f"spread {returns['std']:.2f}"),
            (percent(faulty, 1), "robot-ticks not healthy", "by the supervisor or the checks"),
            (number(away, 3), "from the policy", note),
        )
    )


def _rewards(card: Card) -> Html:
    """Reward over the ticks of each episode."""
    curves = []
    for one in np.unique(card.episode):
        reward = card.reward[card.episode == one]
        ticks = np.arange(len(reward), dtype=float)
        curves.append(Line(ticks, reward, "thin", f"episode {one}"))
    drawn = plot(curves, "tick of the episode", "reward", zero=False)
    return figure("reward of each tick", drawn)


def _distances(card: Card) -> Html:
    """Histogram of distances to the policy."""
    edges = np.repeat(np.linspace(0.0, WIDEST, BINS + 1), 2)
    counts = np.concatenate([[0], np.repeat(card.histogram, 2), [0]]).astype(float)
    drawn = plot([Line(edges, counts, "", "robot-ticks")], "distance, shares", "robot-ticks")
    told = "what was applied, from what the policy says, in robot-ticks of healthy robots"
    return figure(told, drawn)
