"""What a path holds: which importer claims it, or what lies below it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_lr import registry
from tune_lr.errors import BadInput
from tune_lr.history.files import DEEPEST_FOLDER, entries
from tune_lr.history.importers.base import Importer
from tune_lr.history.log import Skipped

#: What lies at a URI is copied here first.
_LARGEST_COPY = 16 * 1024**3


def importers() -> list[Importer]:
    """Every registered importer in the order of asking: the registry's, then those of other packages."""
    names = [*registry.PARTS["importers"]]
    names += [name for name in registry.names("importers") if name not in names]
    return [registry.load("importers", name)() for name in names]


def find(path: Path, skipped: Skipped) -> Iterator[tuple[Importer, Path]]:
    """Every file or folder that an importer claims, at ``path`` or below it; what is claimed is not entered.

    Raises:
        BadInput: there is no such path.
    """
    if not os.path.exists(path):  # Path.exists raises where it may not look
        raise BadInput("PATH", str(path), "a file or folder that exists")
    yield from _below(path, path, importers(), skipped, 0)


def _below(
    path: Path, root: Path, asked: list[Importer], skipped: Skipped, depth: int
) -> Iterator[tuple[Importer, Path]]:
    for importer in asked:
        if _claims(importer, path):
            yield importer, path
            return
    if not os.path.isdir(path):
        skipped.add(path.name, "no log of a kind that is known")
    elif depth >= DEEPEST_FOLDER:
        skipped.add(path.name, "a folder that is nested too deeply")
    elif depth == 0 or not path.is_symlink():
        for entry in entries(path, root, skipped):
            yield from _below(entry, root, asked, skipped, depth + 1)


def _claims(importer: Importer, path: Path) -> bool:
    try:
        return importer.claims(path)
    except OSError:  # a folder that tells its names and lets nobody look at what they name
        return False


@contextmanager
def here(path: str) -> Iterator[Path]:
    """A path as one of this machine; what lies at an fsspec URI is copied for the time being.

    Raises:
        BadInput: the URI cannot be read, or holds too much.
    """
    path = path.removeprefix("file://")
    if "://" not in path:
        named = Path(os.path.abspath(os.path.expanduser(path)))  # "." has no name
        # What a person names may be a link; what lies below it may not lead out.
        yield Path(os.path.realpath(named)) if os.path.islink(named) else named
        return
    import fsspec

    with tempfile.TemporaryDirectory(prefix="tune-lr-") as folder:
        target = Path(folder) / (path.rstrip("/").rpartition("/")[2] or "log")
        try:
            files, root = fsspec.core.url_to_fs(path)
            if files.du(root) > _LARGEST_COPY:
                raise BadInput("PATH", path, f"at most {_LARGEST_COPY} bytes")
            files.get(root, str(target), recursive=bool(files.isdir(root)))
        except BadInput:
            raise
        except Exception as error:  # every filesystem has errors of its own
            raise BadInput("PATH", path, f"a file or folder that can be read ({error})") from error
        yield target
