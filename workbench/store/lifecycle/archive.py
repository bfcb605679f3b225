"""The archive: data files that are old enough lie in another folder, and a link stands in their place.

A file is copied, synced, and only then is a link put over it in one step. So a kill at any point leaves the file or the
link, readers see the same bytes before and after, and whatever reads the lake's tables reads the archive too: as fast
as the folder is (another disk, a network share, an object store mounted as files). Nothing is moved back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from workbench.store.lake import Lake
from workbench.store.layout import sync_folder
from workbench.store.lifecycle.rules import Rule
from workbench.store.parquet import DataFile, sync_file
from workbench.store.rows import DAY_US, day_start_us


def due_files(lake: Lake, rule: Rule, now_us: int) -> list[DataFile]:
    """Files of a rule's table that belong into its archive and are not there yet."""
    bound_us = now_us - rule.archive_after_days * DAY_US
    files = [file for file in lake.newest_files(rule.table) if file.day and _end_us(file.day) <= bound_us]
    return [file for file in files if not (lake.path(rule.table) / file.path).is_symlink()]


def archive_files(lake: Lake, rule: Rule, files: Sequence[DataFile]) -> None:
    """Bring files into a rule's archive. Raises OSError where the folder is not there or full; then they stay."""
    for file in files:
        place = lake.path(rule.table) / file.path
        target = Path(rule.archive) / rule.table / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(place, draft)
        sync_file(draft)
        draft.replace(target)
        sync_folder(target.parent)
        link = place.with_name(f".{place.name}.tmp")
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.replace(link, place)
        sync_folder(place.parent)


def delete_file(path: Path) -> int:
    """Delete a data file, from the archive too if it lies there; how many bytes that were."""
    target = path.resolve() if path.is_symlink() else path
    size_bytes = target.stat().st_size if target.exists() else 0
    # The link last: what is still linked is found again after a kill.
    target.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return size_bytes


def _end_us(day: str) -> int:
    return day_start_us(day) + DAY_US
