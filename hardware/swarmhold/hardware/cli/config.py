"""Command lines from typed classes, with strict YAML files underneath, and results for programs."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

import tyro
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from swarmhold.hardware.errors import ConfigError, hint

T = TypeVar("T")
_TITLE = re.compile(r"^╭.*╮$", re.MULTILINE)
_FRAME = re.compile(r"[╰╯│─]+")
_ADVICE = re.compile(r"\b(For full helptext|Argument helptext)\b.*")
_PYDANTIC = re.compile(
    r"Error parsing \w+: \d+ validation errors? for \w+ |Value error, | \[type=.*", re.DOTALL
)


def parse(
    kind: type[T],
    argv: list[str],
    prog: str,
    default: T | None = None,
    beneath: Mapping[str, Any] | None = None,
) -> T:
    """Parse arguments; `--config FILE` gives values that options override.

    Args:
        kind: dataclass or pydantic model; its fields are the options.
        argv: arguments after the verb.
        prog: name for the help text.
        default: values to start from where no file is given.
        beneath: values that replace the defaults of the class; files and options win over them.

    Raises:
        ConfigError: an option, a file or a value is wrong; the message names it.
    """
    rest, file = _take_config(argv)
    if file is not None or beneath:
        default = from_yaml(kind, file, beneath or {})
    options: dict[str, Any] = {} if default is None else {"default": default}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed: T = tyro.cli(kind, args=rest, prog=prog, **options)
        return parsed
    except ValidationError as error:
        raise ConfigError(_first(error)) from error
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ConfigError(f"{_one_line(said.getvalue(), prog)}; see {prog} --help") from None


def from_yaml(kind: type[T], path: Path | None, beneath: Mapping[str, Any] | None = None) -> T:
    """Read a YAML file strictly.

    Args:
        kind: dataclass or pydantic model; required fields may be left to the command line.
        path: file with a mapping of field names to values; nested classes are nested mappings.
            None: only what is beneath.
        beneath: values for what the file leaves out, before the defaults of the class.

    Returns:
        An instance of `kind`; what the file leaves out has its default, or is marked as missing
        for `parse` to demand.

    Raises:
        ConfigError: the file is missing, no mapping, or holds an unknown key or a bad value.
    """
    values = {} if path is None else read_mapping(path)
    place = "defaults" if path is None else str(path)
    return cast(T, _build(kind, {**(beneath or {}), **values}, place, ""))


def choose(
    verb: str, what: str, known: Mapping[str, Callable[[list[str]], int]], argv: list[str]
) -> int:
    """Run the part of a verb that its first word names.

    Args:
        verb: of the command.
        what: it does something with, for messages.
        known: parts by their names.
        argv: words after the verb.

    Raises:
        ConfigError: there is no such part.
    """
    if argv[:1] == ["--help"]:
        say(f"usage: swarmhold {verb} {{{','.join(known)}}} [--help]")
        return 0
    if not argv or argv[0] not in known:
        word = argv[0] if argv else ""
        raise ConfigError(f"say what to do with {what}, not {word!r}; {hint(word, known)}")
    return known[argv[0]](argv[1:])


def read_mapping(path: Path) -> dict[Any, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: there is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file in UTF-8") from error
    return mapping_of(text, str(path))


def mapping_of(text: str, where: str) -> dict[Any, Any]:
    """The mapping in a YAML text.

    Args:
        text: to parse.
        where: it stood, for messages.

    Raises:
        ConfigError: it is something else.
    """
    try:
        values = yaml.safe_load(text)
    except RecursionError as error:
        raise ConfigError(f"{where} is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must hold a mapping of option names to values")
    return values


def _build(kind: Any, values: dict[Any, Any], file: str, prefix: str) -> Any:
    """An instance of a class from checked values; required ones that are absent stay open."""
    types = get_type_hints(kind, include_extras=True)
    model = issubclass(kind, BaseModel)
    known = list(kind.model_fields) if model else [field.name for field in fields(kind)]
    filled: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            cure = hint(key, known, prefix)
            raise ConfigError(f"{file}: unknown key {prefix + str(key)!r}; {cure}")
        inner = _nested(types[key])
        if inner is not None and isinstance(value, dict):
            filled[key] = _build(inner, value, file, f"{prefix}{key}.")
            continue
        try:
            filled[key] = TypeAdapter(types[key]).validate_python(value)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ConfigError(f"{file}: {prefix}{key} = {value!r}: {message}") from error
    for name in _required(kind):
        filled.setdefault(name, tyro.MISSING)
    return kind.model_construct(**filled) if model else kind(**filled)


def _nested(annotation: Any) -> Any:
    """The configuration class behind an annotation, or None."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and (is_dataclass(option) or issubclass(option, BaseModel)):
            return option
    return None


def _required(kind: Any) -> list[str]:
    if issubclass(kind, BaseModel):
        return [name for name, field in kind.model_fields.items() if field.is_required()]
    absent = [f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    return [field.name for field in absent if field.init]


def _take_config(argv: list[str]) -> tuple[list[str], Path | None]:
    for index, word in enumerate(argv):
        if word == "--config":
            if index + 1 >= len(argv):
                raise ConfigError("--config needs a file name")
            return argv[:index] + argv[index + 2 :], Path(argv[index + 1])
        if word.startswith("--config="):
            return argv[:index] + argv[index + 1 :], Path(word.split("=", 1)[1])
    return argv, None


def _one_line(text: str, prog: str) -> str:
    """What the parser complains about, without frame and advice."""
    plain = " ".join(_FRAME.sub(" ", _TITLE.sub("", text)).split())
    plain = plain.replace(f"Missing from {prog}:", "missing:")
    plain = _PYDANTIC.sub("", plain)
    return _ADVICE.sub("", plain).strip().rstrip(".") or "the options are not understood"


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def print_json(values: Any) -> None:
    """One JSON value on standard output; numbers that JSON does not know become null."""
    say(json.dumps(for_json(values), allow_nan=False))


def for_json(value: Any) -> Any:
    """The same in what JSON knows: lists for arrays, null for numbers that are none."""
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): for_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def say(line: str) -> None:
    """One line of result on standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """One line of progress on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
