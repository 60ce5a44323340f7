"""Roll-outs in this process, in worker processes with shared memory, or on Ray: equal results.

The teams of an iteration are dealt out in whole blocks. All randomness goes by a team's number
and the actor sees one block at a time, so a batch is the same to the bit whoever computes it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

import numpy as np
import torch

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.arms import make_actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.rollout import Batch, Rows, Task, batch_of, block_of, collect
from swarmhold.sim.env import SwarmEnv

Arrays = dict[str, np.ndarray]
Layout = dict[str, tuple[tuple[int, ...], str]]  # shape and dtype by name
ALIGN = 64  # bytes
ENDS_S = 5.0  # s that a worker gets to end by itself


class Rollouts(Protocol):
    """Where episodes of a fixed number of teams are played."""

    def collect(self, actor: Actor, task: Task) -> Batch:
        """Play one episode of every team. The batch holds until the next call."""

    def close(self) -> None:
        """Free what is held; may be called twice."""


class Collector:
    """Some of the teams: their environment and a copy of the actor.

    Attributes:
        env: of these teams.
    """

    def __init__(self, config: TrainConfig, first: int, count: int) -> None:
        """Args: run, number of the first team, and how many."""
        torch.set_num_threads(1)
        self.env = SwarmEnv(
            *(config.scenario, config.robot, count, config.robots),
            seed=config.seed,
            disturbances=config.disturbances,
            first_env=first,
        )
        self._actor = make_actor(config).eval()

    def run(self, weights: Arrays, task: Task) -> Rows:
        """Play one episode of every team with these weights of the actor; see `collect`."""
        self._actor.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
        return collect(self.env, self._actor, task)

    def stacked(self, weights: Arrays, task: Task) -> Arrays:
        """The same as whole arrays, with the teams along axis 1."""
        return {name: np.stack(values) for name, values in self.run(weights, task).items()}

    def close(self) -> None:
        """Free the backend."""
        self.env.close()


def weights_of(actor: Actor) -> Arrays:
    """Parameters and buffers by name."""
    return {name: value.detach().numpy() for name, value in actor.state_dict().items()}


def deal(teams: int, robots: int, workers: int) -> list[slice]:
    """Teams of each worker: whole blocks, at least one each."""
    block = block_of(robots)
    blocks = -(-teams // block)
    edges = [blocks * k // min(workers, blocks) for k in range(min(workers, blocks) + 1)]
    return [slice(a * block, min(b * block, teams)) for a, b in itertools.pairwise(edges)]


def rollouts_of(config: TrainConfig, teams: int, workers: int, ray: bool = False) -> Rollouts:
    """Roll-outs of a run.

    Args:
        config: of the run.
        teams: E.
        workers: processes.
        ray: whether they are actors of a Ray cluster.

    Raises:
        ConfigError: no workers, or Ray is not installed.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers}: at least one is needed")
    if ray:
        from swarmhold.policies.ray_workers import RayRollouts

        return RayRollouts(config, deal(teams, config.robots, workers))
    return (
        Here(config, teams)
        if workers == 1
        else Processes(config, deal(teams, config.robots, workers))
    )


class Here:
    """All teams in this process.

    Attributes:
        collector: of all teams.
    """

    def __init__(self, config: TrainConfig, teams: int) -> None:
        """Args: run and number of teams."""
        self.collector = Collector(config, 0, teams)

    def collect(self, actor: Actor, task: Task) -> Batch:
        """See `Rollouts`."""
        return batch_of(self.collector.stacked(weights_of(actor), task))

    def close(self) -> None:
        """See `Rollouts`."""
        self.collector.close()


@dataclass(frozen=True, slots=True)
class _Worker:
    process: Any
    pipe: Connection
    teams: slice


class Processes:
    """A process per part of the teams; arrays come back through shared memory.

    The processes start with the first roll-out.
    """

    def __init__(self, config: TrainConfig, parts: list[slice]) -> None:
        """Args: run and the teams of each worker."""
        self._config, self._parts = config, parts
        self._workers: list[_Worker] = []
        self._memory: SharedMemory | None = None

    def collect(self, actor: Actor, task: Task) -> Batch:
        """See `Rollouts`.

        Raises:
            ConfigError: a worker died or failed.
        """
        if not self._workers:
            self._start()
        weights = weights_of(actor)
        for worker in self._workers:
            self._send(worker, (weights, task.part(worker.teams)))
        layouts = [self._answer(worker) for worker in self._workers]
        layout = {
            name: (_widest([part[name][0] for part in layouts]), layouts[0][name][1])
            for name in layouts[0]
        }
        arrays = self._arrays(layout)
        assert self._memory is not None
        for worker in self._workers:
            self._send(worker, (self._memory.name, layout))
        for worker in self._workers:
            self._answer(worker)
        return batch_of(arrays)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # forks of a process with threads hang
        for teams in self._parts:
            ours, theirs = context.Pipe()
            args = (theirs, self._config, teams)
            process = context.Process(target=_work, args=args, daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours, teams))

    def _arrays(self, layout: Layout) -> Arrays:
        """Views of shared memory that is large enough."""
        need = _size(layout)
        if self._memory is None or self._memory.size < need:
            self._free()
            self._memory = SharedMemory(create=True, size=need)
        return _views(self._memory, layout)

    def _free(self) -> None:
        if self._memory is not None:
            try:
                self._memory.close()
            except BufferError:  # somebody still holds a batch: its pages go with it
                self._memory._mmap = None  # type: ignore[attr-defined]
            self._memory.unlink()
            self._memory = None

    @staticmethod
    def _send(worker: _Worker, message: Any) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            _lost(worker)

    @staticmethod
    def _answer(worker: _Worker) -> Any:
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            _lost(worker)
        if kind == "config":
            raise ConfigError(value)
        if kind == "failed":
            raise RuntimeError(f"a roll-out worker failed:\n{value}")
        return value

    def close(self) -> None:
        """See `Rollouts`."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(ENDS_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []
        self._free()


def _lost(worker: _Worker) -> None:
    worker.process.join(ENDS_S)
    raise ConfigError(
        f"a roll-out worker died (exit code {worker.process.exitcode}), for want of memory "
        "perhaps; resume with fewer --workers"
    )


def _work(pipe: Connection, config: TrainConfig, teams: slice) -> None:
    """A worker: play, tell the layout, write where one is told to; until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to handle
    memory: SharedMemory | None = None
    try:
        collector = Collector(config, teams.start, teams.stop - teams.start)
        while True:
            weights, task = pipe.recv()
            rows = collector.run(weights, task)
            shapes = {k: ((len(v), *v[0].shape), v[0].dtype.str) for k, v in rows.items()}
            pipe.send(("done", shapes))
            name, layout = pipe.recv()
            if memory is None or memory.name != name:
                memory = SharedMemory(name=name)
            views = _views(memory, layout)
            for key, values in rows.items():
                _put(views[key][:, teams], values)
            del views
            pipe.send(("done", None))
    except (EOFError, OSError):
        return  # the trainer has ended
    except ConfigError as error:
        pipe.send(("config", str(error)))
    except Exception:
        pipe.send(("failed", traceback.format_exc()))


def _put(there: np.ndarray, values: list[np.ndarray]) -> None:
    """Stack values; entries that only other teams have stay empty."""
    if there.shape[1:] != values[0].shape:
        there[...] = 0
        there = there[(slice(None), *(slice(size) for size in values[0].shape))]
    np.stack(values, out=there)


def _widest(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of parts put together along axis 1."""
    widest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    widest[1] = sum(shape[1] for shape in shapes)
    return tuple(widest)


def _size(layout: Layout) -> int:
    return sum(_bytes(*entry) for entry in layout.values())


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return -(-int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize // ALIGN) * ALIGN


def _views(memory: SharedMemory, layout: Layout) -> Arrays:
    """Arrays one after the other in shared memory."""
    views, offset = {}, 0
    for name, (shape, dtype) in layout.items():
        views[name] = np.ndarray(shape, dtype, memory.buf, offset)
        offset += _bytes(shape, dtype)
    return views
