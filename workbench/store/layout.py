"""Where things lie below a home, and which layout they have."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from workbench.config import Settings
from workbench.errors import DiskFull, LayoutUnknown, StoreError
from workbench.schema import LAYOUT_VERSION

SEGMENT_SUFFIX = ".wal"

_FULL = (errno.ENOSPC, errno.EDQUOT)


def segment_path(settings: Settings, number: int) -> Path:
    """File of a log segment; the zeros make the names sort like the numbers."""
    return settings.log_dir / f"{number:012d}{SEGMENT_SUFFIX}"


def segment_numbers(settings: Settings) -> list[int]:
    """Numbers of the log segments on disk, ascending."""
    try:
        names = os.listdir(settings.log_dir)
    except FileNotFoundError:
        return []
    stems = [name.removesuffix(SEGMENT_SUFFIX) for name in names if name.endswith(SEGMENT_SUFFIX)]
    return sorted(int(stem) for stem in stems if stem.isdigit())


def published_path(settings: Settings) -> Path:
    """The small file through which the writer tells readers how far the log is durable."""
    return settings.log_dir / "published"


def _marker_path(settings: Settings) -> Path:
    return settings.home / "layout.json"


def check_layout(settings: Settings) -> bool:
    """True if the home was written before, and by a layout that we know; False if nothing is there.

    Raises LayoutUnknown for any other layout, and for a log or a lake without the marker.
    """
    marker = _marker_path(settings)
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))["layout"]
    except FileNotFoundError:
        if (settings.lake_dir / "identity.json").exists() or segment_numbers(settings):
            raise LayoutUnknown(
                "the home holds a log or a lake, but does not say which layout they have",
                where=str(marker),
                hint="Restore layout.json from a backup, or see `workbench doctor`.",
            ) from None
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutUnknown("not readable", where=str(marker), hint="See `workbench doctor`.") from error
    if found != LAYOUT_VERSION:
        raise LayoutUnknown(
            f"the home has layout {found!r}, this version knows {LAYOUT_VERSION}",
            where=str(marker),
            hint="Open it with the version of the workbench that wrote it.",
        )
    return True


def create_layout(settings: Settings) -> None:
    """Check the layout of the home, or mark an empty one as ours. The writer calls it before it writes anything."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not check_layout(settings):
        write_durably(_marker_path(settings), json.dumps({"layout": LAYOUT_VERSION}).encode())
    settings.log_dir.mkdir(exist_ok=True, mode=0o700)
    sync_folder(settings.home)


def write_durably(path: Path, content: bytes) -> None:
    """Write a whole file so that after a crash it is there complete, or as it was before."""
    temporary = path.with_name(f".{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    sync_folder(path.parent)


@contextlib.contextmanager
def full_disk_named(place: Path, hint: str) -> Iterator[None]:
    """Where the disk or a quota is full, raise DiskFull with this hint instead of what the libraries say.

    A disk that is read-only is a StoreError, which says so.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        # delta-rs wraps the error of the system, and leaves of it no more than its text.
        text = str(error)
        if getattr(error, "errno", None) in _FULL or any(f"(os error {code})" in text for code in _FULL):
            raise DiskFull("no space is left on the disk", where=str(place), hint=hint) from error
        if getattr(error, "errno", None) == errno.EROFS or f"(os error {errno.EROFS})" in text:
            hint = "Mount it for writing; reading goes on, and nothing that was acknowledged is lost."
            raise StoreError("the disk is read-only", where=str(place), hint=hint) from error
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
