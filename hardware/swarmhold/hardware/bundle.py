"""Policy bundles: what export seals and a robot opens.

Opening fails closed. The bytes that are hashed are the bytes that are loaded; nothing is opened
twice, no external tensor data is followed, and golden vectors have to come out right here.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarmhold.hardware.bundle_files import BundleFiles
from swarmhold.hardware.errors import BundleError, ConfigError, SpecMismatchError
from swarmhold.hardware.memory import MemoryRule
from swarmhold.hardware.parity import worst_of
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.shipped import located
from swarmhold.hardware.signing import SIGNATURE, PublicKey, check
from swarmhold.hardware.slices import SLICE_NAMES, SLICE_REQUIRED, SlicePlan, load_slices
from swarmhold.hardware.slot import current_of, is_slot
from swarmhold.hardware.spec import PolicySpec, policy_spec

SCHEMA = 1
REQUIRED = ("model.onnx", "golden.npz", "parity.json", "model_card.md")
GOLDEN_TOLERANCE = 1e-4  # other machines round otherwise; export's own bar is 1e-5
INPUTS = ("self", "team", "health", "obstacles", "obstacle_mask")
OUTPUTS = ("action", "attention")
HIDDEN, HIDDEN_NEXT = "hidden", "hidden_next"  # of a policy with memory, (B, H) each


class Manifest(BaseModel):
    """`manifest.json` of a bundle; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    name: str = Field(min_length=1, max_length=100)
    scenario: str
    robot: str
    spec: dict[str, Any]
    spec_digest: str
    files: dict[str, str]
    team_sizes_trained: tuple[int, int]
    rate_hz: float = Field(gt=0)
    training: dict[str, Any]
    health: dict[str, Any]
    created: str
    version: int = Field(1, ge=1)
    memory: MemoryRule | None = None
    slices: SlicePlan | None = None

    @property
    def finetuned(self) -> bool:
        """Whether it went on learning from recordings of another bundle's flights."""
        return "finetuned" in self.training


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened and checked bundle.

    Attributes:
        manifest: its manifest.
        digest: sha256 of the manifest's bytes, which hold the digests of all files.
        spec: the contract, equal to the code's own.
        health: calibrated settings.
        sessions: ready to run; one, or one per robot where the policy is cut into slices.
        signed_by: id of the pinned key that vouches for it; None where no key was asked for.
        has_signature: whether somebody signed it; if no key was asked for, this was not checked.
        parity: largest difference of graph and network, by the export's report; None: unknown.
    """

    manifest: Manifest
    digest: str
    spec: PolicySpec
    health: HealthSettings
    sessions: tuple[onnxruntime.InferenceSession, ...]
    signed_by: str | None = None
    has_signature: bool = False
    parity: float | None = None

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """Of the policy that all robots share; raises `BundleError` if each has its own."""
        if self.manifest.slices is not None:
            raise BundleError(
                f"{self.manifest.name} is cut into slices, one for each robot of a team of "
                f"{len(self.sessions)}; it can be flown and replayed, and nothing else"
            )
        return self.sessions[0]

    @property
    def short_digest(self) -> int:
        """First eight bytes of the digest, as it travels in state messages."""
        return int(self.digest[:16], 16)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs."""
        return graph_names(self.manifest.memory is not None)[0]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return graph_names(self.manifest.memory is not None)[1]


def graph_names(remembers: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a graph's inputs and outputs, with memory or without."""
    return ((*INPUTS, HIDDEN), (*OUTPUTS, HIDDEN_NEXT)) if remembers else (INPUTS, OUTPUTS)


def required(slices: SlicePlan | None) -> tuple[str, ...]:
    """Files without which there is no bundle, whole or cut into slices."""
    return REQUIRED if slices is None else (*SLICE_REQUIRED, *slices.files)


def open_bundle(path: Path | str, keys: Sequence[PublicKey] = ()) -> Bundle:
    """Open and check a bundle.

    Args:
        path: folder, zip archive of one, a slot, whose current bundle it is then, or the name of
            one that ships.
        keys: pinned; with any, one of them must have signed the bundle.

    Returns:
        The bundle, its session loaded and its golden vectors replayed.

    Raises:
        BundleError: something is missing, damaged or changed; the message names it.
        SpecMismatchError: it was made for another contract.
    """
    path = _resolved(Path(path))
    read = BundleFiles(path)
    raw = read("manifest.json")
    signed_by = _check_signature(read, raw, keys, path) if keys else None
    manifest = _parse_manifest(raw, path)
    spec = _check_spec(manifest, path)
    contents = {name: read(name) for name in manifest.files}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise BundleError(
                f"{path}: {name} is not the file that was sealed (sha256 differs); "
                "get a fresh copy or export again"
            )
    sessions = _sessions(manifest, spec, contents, path)
    try:
        health = HealthSettings.from_dict(manifest.health)
    except (ConfigError, TypeError) as error:
        raise BundleError(f"{path}: health settings in the manifest are wrong: {error}") from error
    digest, parity = hashlib.sha256(raw).hexdigest(), worst_of(contents.get("parity.json", b""))
    return Bundle(
        manifest, digest, spec, health, sessions, signed_by, read.holds(SIGNATURE), parity
    )


def _sessions(
    manifest: Manifest, spec: PolicySpec, contents: dict[str, bytes], path: Path
) -> tuple[onnxruntime.InferenceSession, ...]:
    """The graph, or one per robot, with golden vectors replayed."""
    if manifest.slices is None:
        session = _load(contents["model.onnx"], path)
        names = graph_names(manifest.memory is not None)
        _check_graph(session, spec, manifest.memory, path)
        _replay(session, contents["golden.npz"], names, path)
        return (session,)
    sessions = load_slices(manifest.slices, spec, contents, _load, path)
    for part, session in zip(manifest.slices.slices, sessions, strict=True):
        _replay(session, contents[part.golden], SLICE_NAMES, path)
    return sessions


def files_of(path: Path) -> dict[str, bytes]:
    """Contents of all files of a bundle, by name; nothing else that lies beside them.

    Args:
        path: as in `open_bundle`.

    Raises:
        BundleError: something is missing or unreadable.
    """
    path = _resolved(path)
    read = BundleFiles(path)
    raw = read("manifest.json")
    names = [*_parse_manifest(raw, path).files, *([SIGNATURE] if read.holds(SIGNATURE) else [])]
    return {"manifest.json": raw, **{name: read(name) for name in names}}


def _resolved(path: Path) -> Path:
    path = located(path)
    return current_of(path) if is_slot(path) else path


def seal_bundle(folder: Path, fields: dict[str, Any], files: dict[str, bytes]) -> str:
    """Write a bundle.

    Args:
        folder: made if absent; files of an older bundle in it are replaced.
        fields: manifest fields but `schema_version`, `spec`, `spec_digest`, `files`.
        files: contents by name; the required ones at least.

    Returns:
        The bundle's digest.

    Raises:
        BundleError: a required file is missing.
    """
    missing = [name for name in required(fields.get("slices")) if name not in files]
    if missing:
        raise BundleError(f"cannot seal {folder}: {', '.join(missing)} missing")
    spec = policy_spec(fields["robot"])
    manifest = Manifest(
        schema_version=SCHEMA,
        spec=json.loads(json.dumps(asdict(spec))),
        spec_digest=spec.digest(),
        files={name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        **fields,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIGNATURE).unlink(missing_ok=True)  # it vouched for the older one
    for name, data in files.items():
        (folder / name).write_bytes(data)
    left_out = {name for name in ("memory", "slices") if getattr(manifest, name) is None}
    raw = (manifest.model_dump_json(indent=2, exclude=left_out) + "\n").encode()
    (folder / "manifest.json").write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


def _check_signature(
    read: BundleFiles, manifest: bytes, keys: Sequence[PublicKey], path: Path
) -> str:
    if not read.holds(SIGNATURE):
        raise BundleError(
            f"{path} is not signed, and keys are pinned; sign it: swarmhold sign {path} --key KEY"
        )
    return check(manifest, read(SIGNATURE), keys, path).id


def _parse_manifest(raw: bytes, path: Path) -> Manifest:
    try:
        values = json.loads(raw)
        version = values.get("schema_version")
    except (ValueError, AttributeError) as error:
        raise BundleError(f"{path}: manifest.json is not valid JSON; export again") from error
    if version != SCHEMA:
        raise BundleError(
            f"{path}: manifest schema {version} is not {SCHEMA}, the one this version reads; "
            "export again or install the matching swarmhold"
        )
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: manifest.json: {where}: {first['msg']}") from error
    missing = [name for name in required(manifest.slices) if name not in manifest.files]
    if missing:
        raise BundleError(f"{path}: the manifest does not list {', '.join(missing)}; export again")
    return manifest


def _check_spec(manifest: Manifest, path: Path) -> PolicySpec:
    try:
        spec = policy_spec(manifest.robot)
    except ConfigError as error:
        raise SpecMismatchError(f"{path}: {error}") from error
    if manifest.spec_digest != spec.digest() or manifest.spec != json.loads(
        json.dumps(asdict(spec))
    ):
        raise SpecMismatchError(
            f"{path}: made for another contract of {manifest.robot} "
            f"(spec {manifest.spec_digest[:12]}, this version has {spec.digest()[:12]}); "
            "export again with this version"
        )
    if manifest.rate_hz != spec.rate_hz:
        raise SpecMismatchError(
            f"{path}: decides at {manifest.rate_hz:g} Hz, the contract says {spec.rate_hz:g} Hz"
        )
    return spec


def _load(model: bytes, path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public base of its errors
        reason = str(error).splitlines()[0][:120]
        raise BundleError(f"{path}: model.onnx cannot be loaded ({reason})") from error


def _check_graph(
    session: onnxruntime.InferenceSession, spec: PolicySpec, memory: MemoryRule | None, path: Path
) -> None:
    widths = {
        "self": spec.self_size,
        "team": spec.team_size,
        "obstacles": spec.obstacle_size,
    }
    if memory is not None:
        widths[HIDDEN] = memory.size
    inputs = {item.name: item.shape for item in session.get_inputs()}
    outputs = {item.name: item.shape for item in session.get_outputs()}
    wanted = graph_names(memory is not None)
    if set(inputs) != set(wanted[0]) or set(outputs) != set(wanted[1]):
        raise SpecMismatchError(
            f"{path}: graph has inputs {sorted(inputs)} and outputs {sorted(outputs)}, "
            f"the contract has {sorted(wanted[0])} and {sorted(wanted[1])}"
        )
    for name, width in widths.items():
        if inputs[name][-1] != width:
            raise SpecMismatchError(
                f"{path}: graph input {name!r} has width {inputs[name][-1]}, "
                f"the contract says {width}"
            )


def _replay(
    session: onnxruntime.InferenceSession,
    golden: bytes,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    path: Path,
) -> None:
    try:
        with np.load(io.BytesIO(golden), allow_pickle=False) as stored:
            vectors = {name: stored[name] for name in stored.files}
        cases = sorted({name.split("_", 1)[0] for name in vectors})
        worst = 0.0
        for case in cases:
            feeds = {name: vectors[f"{case}_{name}"] for name in names[0]}
            for name, value in zip(names[1], session.run(names[1], feeds), strict=True):
                if not np.isfinite(value).all():
                    raise BundleError(
                        f"{path}: model.onnx gives values of {name!r} that are not finite for "
                        f"golden vectors ({case}); train and export again, and do not fly this"
                    )
                gap = np.abs(value - vectors[f"{case}_{name}"]).max()
                worst = float(np.maximum(worst, gap))  # keeps a NaN, max() would not
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: golden.npz is not usable ({error}); export again") from error
    if not cases or not worst <= GOLDEN_TOLERANCE:
        raise BundleError(
            f"{path}: golden vectors come out {worst:.2g} off on this machine "
            f"(limit {GOLDEN_TOLERANCE:g}); do not fly this bundle here"
        )
