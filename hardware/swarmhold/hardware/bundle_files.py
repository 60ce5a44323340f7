"""Where a bundle's bytes come from: a folder or an archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

from swarmhold.hardware.errors import BundleError, hint
from swarmhold.hardware.shipped import shipped

SIZE_LIMIT = 64 * 2**20  # bytes per file


class BundleFiles:
    """Reads members of a folder or zip archive, each once, within the size limit."""

    def __init__(self, path: Path) -> None:
        """Args: folder, or archive with the files at its top or in one folder.

        Raises:
            BundleError: it is neither.
        """
        self._path = path
        self._archive: zipfile.ZipFile | None = None
        self._prefix = ""
        if path.is_file():
            try:
                self._archive = zipfile.ZipFile(path)
            except zipfile.BadZipFile as error:
                raise BundleError(f"{path} is neither a bundle folder nor a zip archive") from error
            tops = {name.split("/")[0] for name in self._archive.namelist()}
            if "manifest.json" not in tops and len(tops) == 1:
                self._prefix = tops.pop() + "/"
        elif not path.is_dir():
            cure = hint(path.name, shipped(), otherwise="names of those that ship")
            raise BundleError(f"{path} does not exist; give the folder of a bundle; {cure}")

    def holds(self, name: str) -> bool:
        """Whether there is such a member."""
        if self._archive is not None:
            return self._prefix + name in self._archive.namelist()
        return (self._path / name).is_file()

    def __call__(self, name: str) -> bytes:
        """Contents of a member; raises `BundleError` if it is missing or unreadable."""
        if "/" in name or "\\" in name or name.startswith("."):
            raise BundleError(f"{self._path}: file name {name!r} is not allowed in a bundle")
        try:
            if self._archive is not None:
                with self._archive.open(self._prefix + name) as member:
                    data = member.read(SIZE_LIMIT + 1)
            else:
                file = self._path / name
                if file.is_symlink():
                    raise BundleError(f"{self._path}: {name} is a link; bundles hold plain files")
                with file.open("rb") as handle:
                    data = handle.read(SIZE_LIMIT + 1)
        except (KeyError, FileNotFoundError) as error:
            raise BundleError(
                f"{self._path}: {name} is missing; the bundle is incomplete, export again"
            ) from error
        except (OSError, zipfile.BadZipFile) as error:
            raise BundleError(f"{self._path}: {name} cannot be read ({error})") from error
        if len(data) > SIZE_LIMIT:
            raise BundleError(f"{self._path}: {name} is larger than {SIZE_LIMIT // 2**20} MiB")
        return data
