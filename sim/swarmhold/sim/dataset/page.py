"""The card of a dataset as lines of text, and as one self-contained HTML file without scripts."""

from __future__ import annotations

from html import escape
from importlib.resources import files

import numpy as np

from swarmhold.sim.dataset.card import BINS, WIDEST, Card
from swarmhold.sim.gap.chart import Line, plot


def lines(card: Card) -> list[str]:
    """The card as text."""
    about, returns = card.about, card.returns
    flights = about["flights"]
    return [
        f"{about['scenario']}, {about['robots']} robots of class {about['robot']}: "
        f"{about['ticks']} ticks, {about['seconds']:.0f} s, {flights['train']} flights to train "
        f"on, {flights['held-out']} held out",
        f"return of an episode: {returns['mean']:.2f} (spread {returns['std']:.2f}, "
        f"{returns['min']:.2f} to {returns['max']:.2f}; {returns['episodes']} episodes of "
        f"{returns['ticks_mean']:.0f} ticks); reward of a tick {returns['reward_of_a_tick']:.4f}",
        f"coverage: {_coverage(card.coverage)}",
        f"health: {_mix(card.faults)}",
        f"broken on purpose: {_mix(card.injected)}",
        f"in command: {_mix(card.behaviour)}",
        f"age of what decisions answer, s: {_spread(card.ages)}",
        f"applied from policy ({about['distance_to'][:16]}), shares: {_spread(card.distance)}",
        *_warnings(card),
    ]


def _coverage(found: dict[str, float]) -> str:
    if not found:
        return "not known: nobody says where robots are"
    return (
        f"{found['joint_pairs_per_tick']:.2f} distinct pairs of joint state and action per tick; "
        f"{100 * found['cells_of_a_robot']:.1f} % of a robot's cells"
    )


def _mix(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())


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
    text = files("swarmhold.sim.gap").joinpath("page.html").read_text("utf-8")
    told = "".join(f"<p>{escape(line)}</p>" for line in lines(card))
    body = (
        f"<section><header><h2>Dataset</h2><p>{escape(name)}, sha256 of the manifest "
        f"{card.about['digest'][:16]}</p></header>{_tiles(card)}{told}</section>"
        f"<section><h3>How it went</h3><div class='plots pair'>{_rewards(card)}{_distances(card)}"
        "</div></section>"
    )
    title = f"{escape(name)}: dataset"
    return text.replace("<!--TITLE-->", title).replace("<!--BODY-->", body)


def _tiles(card: Card) -> str:
    faulty = 1.0 - card.faults.get("healthy", 0.0)
    tiles = [
        (f"{card.about['ticks']}", "ticks", f"{card.returns['episodes']} episodes"),
        (f"{card.returns['mean']:.2f}", "return", f"spread {card.returns['std']:.2f}"),
        (f"{100 * faulty:.1f} %", "robot-ticks not healthy", "by the supervisor or the checks"),
        (f"{card.distance.get('median', np.nan):.3f}", "from the policy", "median, shares"),
    ]
    made = "".join(
        f"<div class='tile'><b>{escape(value)}</b><span>{escape(what)}</span>"
        f"<i>{escape(more)}</i></div>"
        for value, what, more in tiles
    )
    return f"<div class='tiles'>{made}</div>"


def _rewards(card: Card) -> str:
    """Reward over the ticks of each episode."""
    curves = []
    for number in np.unique(card.episode):
        reward = card.reward[card.episode == number]
        ticks = np.arange(len(reward), dtype=float)
        curves.append(Line(ticks, reward, "thin", f"episode {number}"))
    drawn = plot(curves, "tick of the episode", "reward", zero=False)
    return f"<figure><figcaption>reward of each tick</figcaption>{drawn}</figure>"


def _distances(card: Card) -> str:
    """Histogram of distances to the policy."""
    edges = np.repeat(np.linspace(0.0, WIDEST, BINS + 1), 2)
    counts = np.concatenate([[0], np.repeat(card.histogram, 2), [0]]).astype(float)
    drawn = plot([Line(edges, counts, "", "robot-ticks")], "distance, shares", "robot-ticks")
    told = "what was applied, from what the policy says, in robot-ticks of healthy robots"
    return f"<figure><figcaption>{told}</figcaption>{drawn}</figure>"
