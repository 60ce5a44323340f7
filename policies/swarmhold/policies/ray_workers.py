"""Roll-outs as actors of a Ray cluster; needs the extra `ray`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.rollout import Batch, Task, batch_of
from swarmhold.policies.workers import Collector, weights_of


def connect() -> Any:
    """The `ray` module, connected to the cluster that `RAY_ADDRESS` names, or to one started here.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs the extra: pip install 'swarmhold[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not ray.is_initialized():  # what is started here, Ray itself ends with the process
        try:
            ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
        except Exception as error:  # Ray has many kinds for this
            raise ConfigError(f"no Ray cluster: {str(error).splitlines()[0]}") from error
    return ray


class RayRollouts:
    """One Ray actor per part of the teams.

    Joins the cluster that `RAY_ADDRESS` names, or starts one on this machine. The actors import
    swarmhold, so every node needs it installed, and a scenario of one's own at the same path.
    """

    def __init__(self, config: TrainConfig, parts: list[slice]) -> None:
        """Args: run and the teams of each actor.

        Raises:
            ConfigError: Ray is not installed, or no cluster answers.
        """
        self._ray, self._config, self._parts = connect(), config, parts
        self._actors: list[Any] = []

    def collect(self, actor: Actor, task: Task) -> Batch:
        """See `workers.Rollouts`."""
        ray = self._ray
        if not self._actors:
            kind = ray.remote(num_cpus=1)(Collector)
            self._actors = [
                kind.remote(self._config, part.start, part.stop - part.start)
                for part in self._parts
            ]
        weights = ray.put(weights_of(actor))
        try:
            found = ray.get(
                [
                    one.stacked.remote(weights, task.part(part))
                    for one, part in zip(self._actors, self._parts, strict=True)
                ]
            )
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ConfigError):
                raise ConfigError(str(error.cause)) from error
            raise
        except ray.exceptions.RayActorError as error:
            raise ConfigError("a Ray actor died; see the cluster's logs, then resume") from error
        return batch_of({k: np.concatenate([part[k] for part in found], axis=1) for k in found[0]})

    def close(self) -> None:
        """See `workers.Rollouts`."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
