"""The contagion as a picture: robots on a ring, arrows from who was heeded to who was affected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swarmhold.policies.forensics.course import Edge

SIZE, RING, NODE = 260, 95, 19  # pixels


def graph(
    robots: int,
    edges: Sequence[Edge],
    failed: Sequence[int],
    affected: Sequence[int],
    first: int | None,
) -> str:
    """SVG text.

    Args:
        robots: N.
        edges: arrows.
        failed: filled.
        affected: tinted.
        first: with a thick rim.
    """
    angle = -np.pi / 2 + 2.0 * np.pi * np.arange(robots) / robots
    place = SIZE / 2 + RING * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    out = [
        f"<svg viewBox='0 0 {SIZE} {SIZE}' role='img' aria-label='contagion'><defs>"
        "<marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='6' markerHeight='6' "
        "orient='auto'><path d='M0 0L8 4L0 8z' fill='var(--sim)'/></marker></defs>"
    ]
    for edge in edges:
        way = place[edge.robot] - place[edge.source]
        short = way / np.linalg.norm(way) * (NODE + 3)
        (a, b), (c, d) = place[edge.source] + short, place[edge.robot] - short
        title = f"{edge.t:.2f} s, influence {edge.influence:.2f} of the bound"
        out.append(
            f"<line class='arrow' x1='{a:.1f}' y1='{b:.1f}' x2='{c:.1f}' y2='{d:.1f}'>"
            f"<title>{title}</title></line>"
        )
    for robot, (x, y) in enumerate(place):
        kind = "failed" if robot in failed else "affected" if robot in affected else ""
        kind += " first" if robot == first else ""
        out.append(
            f"<circle class='node {kind}' cx='{x:.1f}' cy='{y:.1f}' r='{NODE}'/>"
            f"<text class='who' x='{x:.1f}' y='{y + 5:.1f}'>{robot}</text>"
        )
    return "".join(out) + "</svg>"
