"""A disk that is full: what was acknowledged stays, is tried again, and the error says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from workbench import config
from workbench.errors import DiskFull
from workbench.store import Writer, open_writer, sealer
from workbench.store.lake import Lake

from .conftest import NOW_US, found, identity, register, sample_batch, wait_until, with_settings

ROWS = 1000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[config.Settings]:
    """A home on a disk of 8 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system lets nobody mount a tmpfs")
    try:
        yield with_settings(config.load(place / "home", environ={}), lake={"min_free_bytes": 0})
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(settings: config.Settings, *, leave_bytes: int) -> Path:
    """Fill the disk of a home but for so many bytes; the file that does it."""
    ballast = settings.home.parent / "ballast"
    with ballast.open("wb") as file:
        file.write(b"x" * (shutil.disk_usage(ballast).free - leave_bytes))
    return ballast


def sealed(writer: Writer) -> bool:
    """Whether a seal went through; until the next try has ended, the last one's failure is what it tells."""
    try:
        writer.seal()
    except DiskFull:
        return False
    return True


def seal_again_and_again(writer: Writer, series: int) -> None:
    """Seal until the disk is full; so often that it must be."""
    for _ in range(5):
        writer.seal()
        writer.append({"samples": sample_batch([series], [NOW_US], [1.0])}).result()


@pytest.mark.parametrize("leave_bytes", [0, 4096, 16_384, 65_536])
def test_a_writer_that_finds_no_room_says_so_and_opens_once_there_is(small: config.Settings, leave_bytes: int) -> None:
    ballast = fill(small, leave_bytes=leave_bytes)
    with pytest.raises(DiskFull, match="Free some space"):
        open_writer(small)
    ballast.unlink()
    with open_writer(small) as writer:
        (series,) = register(writer, "a")
        writer.append({"samples": sample_batch([series], [NOW_US], [1.0])}).result()
        writer.seal()
        assert found(writer.view, [series]) == {series: [(NOW_US, 1.0)]}


@pytest.mark.parametrize("leave_bytes", [8192, 32_768, 65_536, 131_072])
def test_a_seal_without_room_loses_nothing_and_comes_again(
    small: config.Settings, leave_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "RETRY_SECONDS", 0.05)
    times = [NOW_US + n for n in range(ROWS)]
    values = [float(hash(str(n)) % 1_000_003) for n in range(ROWS)]
    with open_writer(small) as writer:
        ids = writer.register([(identity(f"s{n}"), "x" * 500, "") for n in range(200)], "token:1")
        for n in range(0, ROWS, 100):
            batch = sample_batch([ids[0]] * 100, times[n : n + 100], values[n : n + 100])
            writer.append({"samples": batch}).result()
        ballast = fill(small, leave_bytes=leave_bytes)
        with pytest.raises(DiskFull, match="Free some space"):
            seal_again_and_again(writer, ids[1])
        assert [at for at, _ in found(writer.view, [ids[0]])[ids[0]]] == times
        ballast.unlink()
        wait_until(lambda: sealed(writer))
        assert found(writer.view, [ids[0]])[ids[0]] == list(zip(times, values, strict=True))
    rows = pl.scan_delta(str(small.lake_dir / "samples")).filter(pl.col("series") == ids[0]).collect()
    assert sorted(rows["time"].to_physical().to_list()) == times
    named = {Path(path) for path in Lake(small).files("samples")}
    assert set((small.lake_dir / "samples").rglob("*.parquet")) == named, "tries that failed left nothing behind"
