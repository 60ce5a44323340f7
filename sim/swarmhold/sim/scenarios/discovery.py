"""Discovery: scouts find landmarks, taggers tag them (JaxRobotarium, arXiv 2505.06771).

Half of the team can sense landmarks within 0.45 m, the other half can tag them within 0.25 m.
Nobody sees a landmark before it was sensed or after it was tagged. A scout is told where to look
next: the nearest place of a grid where no working scout has been, as a landmark that it alone
sees and whose value is `LOOK`; once all were looked at, the round begins again. As with the
peer, a landmark may be tagged unsensed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float, Int, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    TeamView,
    distances,
    headings,
    landmarks_of,
    nearest_landmark,
)
from swarmhold.sim.scenarios.testbed import (
    SCALE,
    STEP_S,
    Testbed,
    drive_to,
    from_own,
    poses,
    start_cells,
    to_all,
)

TARGETS = 6  # landmarks to tag, in the first slots; then one slot per scout
SENSE, TAG = 0.45, 0.25  # m
LOOK = 0.5  # value of a place to look at; a landmark to tag has 1
_BEEN = 0.08  # m, from which a place counts as looked at: from there it is in range altogether
_PLACES = np.stack(
    np.meshgrid(np.linspace(-1.1, 1.1, 5), np.linspace(-0.5, 0.5, 3)), axis=-1
).reshape(-1, 2)  # m


def scouts_of(robots: int) -> int:
    """How many of a team can sense: the first half of the roster."""
    return max(1, robots // 2)


def discovery_reward(sensed: Float, tagged: Float, left: Float, steps: float = 1.0) -> Float:
    """The peer's shared reward.

    Args:
        sensed: (E) landmarks sensed for the first time in this step.
        tagged: (E) landmarks tagged for the first time in this step.
        left: (E) landmarks that are not tagged.
        steps: length of the step in steps of the peer.

    Returns:
        (E).
    """
    return 1.0 * sensed + 5.0 * tagged - 0.05 * steps * (left > 0)


def peer_observation(view: TeamView) -> Float:
    """What the peer's policies see, (E, N, 3 N + 3 K): poses, one's own first, and landmarks.

    A landmark is x, y and 0; -5 three times as long as it was not sensed.
    """
    known = view.memory["sensed"][..., None]
    spots = np.zeros((*known.shape[:2], 3))
    spots[..., :2] = view.landmarks[:, :TARGETS]
    marks = to_all(np.where(known, spots, -5.0), view.position.shape[1])
    return np.concatenate([from_own(poses(view)), marks], axis=-1)


class Discovery(Testbed):
    """Find and tag."""

    name = "discovery"
    title = "scouts find landmarks, taggers tag them"
    episode_s = 80 * STEP_S

    def slots(self, robots: int) -> int:
        """The landmarks, and a place to look at for every scout."""
        return TARGETS + scouts_of(robots)

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Robots in the middle third, landmarks anywhere; both on cells, as with the peer."""
        position = start_cells(rng, robots, 0.3, (2.5 / 3, 1.5))
        targets, scouts = start_cells(rng, TARGETS, 0.5), scouts_of(robots)
        place = np.full((1, scouts), -1)
        free = np.ones((1, len(_PLACES)), bool)
        _send(place, free, position[None, :scouts], np.ones((1, scouts), bool))
        return Layout(
            position * SCALE[robot],
            headings(rng, robots, robot),
            np.concatenate([targets, _PLACES[place[0]]]) * SCALE[robot],
            np.repeat([1.0, LOOK], [TARGETS, scouts]),
            owners=np.concatenate([np.full(TARGETS, -1), np.arange(scouts)]),
            shown=np.concatenate([np.zeros(TARGETS, bool), place[0] >= 0]),
        )

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """What was sensed, tagged and looked at so far, and where the scouts are going."""
        teams = len(view.position)
        nothing = np.zeros((teams, TARGETS), bool)
        place = np.full((teams, view.landmarks.shape[1] - TARGETS), -1)
        free = np.ones((teams, len(_PLACES)), bool)
        _send(place, free, self._scouts(robot, view), self._works(view))
        return {
            "sensed": nothing,
            "tagged": nothing.copy(),
            "place": place,
            "free": free,
            "news": np.zeros((teams, 2)),
            "steps": np.zeros(teams),
        }

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Sense, tag, and send scouts on."""
        memory, scale, works = view.memory, SCALE[robot], self._works(view)
        scouts = works.shape[1]
        near = distances(view.position, view.landmarks[:, :TARGETS]) / scale
        is_scout = np.arange(near.shape[1]) < _scouts_of(view)[:, None]
        able = np.where(is_scout, SENSE, TAG)[..., None]
        reached = (near < able) & view.healthy[..., None]
        sensed = (reached & is_scout[..., None]).any(axis=1) | memory["sensed"]
        tagged = (reached & ~is_scout[..., None]).any(axis=1) | memory["tagged"]
        memory["news"][:, 0] = (sensed & ~memory["sensed"]).sum(axis=1)
        memory["news"][:, 1] = (tagged & ~memory["tagged"]).sum(axis=1)
        memory["steps"][:] = seconds / STEP_S
        memory["sensed"][:], memory["tagged"][:] = sensed, tagged
        view.landmark_mask[:, :TARGETS] = sensed & ~tagged
        position = self._scouts(robot, view)
        been = distances(position, np.broadcast_to(_PLACES, (len(works), *_PLACES.shape))) < _BEEN
        memory["free"] &= ~(been & works[..., None]).any(axis=1)
        memory["free"][~memory["free"].any(axis=1)] = True
        _send(memory["place"], memory["free"], position, works)
        going = memory["place"] >= 0
        view.landmarks[:, TARGETS : TARGETS + scouts] = _PLACES[memory["place"]] * scale
        view.landmark_mask[:, TARGETS : TARGETS + scouts] = going

    @staticmethod
    def _scouts(robot: str, view: TeamView) -> Float:
        """(E, S, 2) m at scale 1, positions of the scouts of the largest team."""
        return view.position[:, : view.landmarks.shape[1] - TARGETS] / SCALE[robot]

    @staticmethod
    def _works(view: TeamView) -> Bool:
        """(E, S) scouts that work."""
        scouts = view.landmarks.shape[1] - TARGETS
        return view.healthy[:, :scouts] & (np.arange(scouts) < _scouts_of(view)[:, None])

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Share of the landmarks that are tagged."""
        memory = view.memory
        left = ~memory["tagged"]
        count = left.sum(axis=1)
        taggers = view.healthy & (np.arange(view.healthy.shape[1]) >= _scouts_of(view)[:, None])
        far = distances(view.position, view.landmarks[:, :TARGETS])
        nearest = np.where(taggers[..., None], far, 2.0 * view.half_width).min(axis=1)
        error = np.where(left, nearest, 0.0).sum(axis=1) / np.maximum(count, 1)
        sensed, tagged = memory["news"].T
        reward = discovery_reward(sensed, tagged, count, memory["steps"])
        return Outcome(reward, 1.0 - count / TARGETS, error, count == 0)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Scouts go where they are told; taggers to the nearest landmark known."""
        _, value, real = landmarks_of(seen)
        look = real & (value < 0.5 * (LOOK + 1.0))
        scout = look.any(axis=-1)
        target, _ = nearest_landmark(seen, np.where(scout[..., None], look, real))
        return drive_to(spec, seen, weights, target)


def _scouts_of(view: TeamView) -> Int:
    """(E) scouts of the team, those included that join later or have left."""
    assert view.members is not None
    return np.maximum(1, view.members.sum(axis=1) // 2)


def _send(place: Int, free: Bool, position: Float, works: Bool) -> None:
    """Give every working scout a place of its own, in place; -1 for none.

    Who is on the way to a place that is still free keeps it; the others choose the nearest that
    nobody is going to, in roster order.

    Args:
        place: (E, S) number of the place, changed.
        free: (E, P) places nobody has looked at.
        position: (E, S, 2) m at scale 1.
        works: (E, S).
    """
    env = np.arange(len(place))
    keeps = works & (place >= 0) & free[env[:, None], place]
    place[~keeps] = -1
    open_ = free.copy()
    row, scout = np.nonzero(keeps)
    open_[row, place[row, scout]] = False
    for scout in range(place.shape[1]):
        far = np.linalg.norm(position[:, scout, None] - _PLACES, axis=-1)
        best = np.where(open_, far, np.inf).argmin(axis=1)
        takes = works[:, scout] & ~keeps[:, scout] & open_[env, best]
        place[takes, scout] = best[takes]
        open_[env[takes], best[takes]] = False
