"""Bundles that come with installed packages, by their names."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

GROUP = "swarmhold.bundles"  # entry points "package:folder"


def shipped() -> dict[str, Path]:
    """Folders by name."""
    found: dict[str, Path] = {}
    for point in entry_points(group=GROUP):
        package, _, folder = point.value.partition(":")
        try:
            place = Path(str(files(package).joinpath(folder)))
        except ModuleNotFoundError:
            continue
        if place.is_dir():
            found.update({path.name: path for path in sorted(place.iterdir()) if path.is_dir()})
    return found


def located(path: Path) -> Path:
    """The path; or, where there is nothing, the bundle that ships under that name."""
    if path.exists() or len(path.parts) != 1:
        return path
    return shipped().get(path.name, path)
