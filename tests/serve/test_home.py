"""The home: private, locked by one `up`, with a disk cap that is set once."""

from __future__ import annotations

import os
import shutil

import pytest

from workbench import config
from workbench.config import ensure_private_dir
from workbench.errors import ConfigError
from workbench.serve.running import home


def load(settings):
    return config.load(settings.home, environ={})


def test_everything_is_private(settings):
    old = os.umask(0)
    try:
        home.make_home(settings)
    finally:
        os.umask(old)
    for folder in [settings.home, *(settings.home / name for name in home.FOLDERS)]:
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_a_home_of_somebody_else_is_refused(settings, monkeypatch):
    home.make_home(settings)
    monkeypatch.setattr(os, "getuid", lambda: settings.home.stat().st_uid + 1)
    with pytest.raises(ConfigError):
        home.make_home(settings)


def test_one_lock_for_each_home(settings):
    home.make_home(settings)
    assert home.running(settings) is None
    lock = home.take_lock(settings)
    assert lock is not None
    assert home.take_lock(settings) is None
    found = home.running(settings)
    assert (found["state"], found["url"]) == ("starting", None)
    ensure_private_dir(settings.runtime_dir)
    home.write_private(settings.up_file, '{"state": "running", "url": "http://127.0.0.1:1"}')
    assert home.running(settings)["url"] == "http://127.0.0.1:1"
    assert settings.up_file.stat().st_mode & 0o777 == 0o600
    os.close(lock)
    assert home.running(settings) is None
    shutil.rmtree(settings.runtime_dir)


def test_the_disk_cap_is_set_once(settings, monkeypatch):
    home.make_home(settings)
    free = 50 * 10**9
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, free))
    home.settle_cap(load(settings))
    assert load(settings).lake.cap_bytes == 10 * 10**9
    free = 10**9
    home.settle_cap(load(settings))
    assert load(settings).lake.cap_bytes == 10 * 10**9


def test_the_disk_cap_is_at_most_20_gb(settings, monkeypatch):
    home.make_home(settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**13, 0, 10**13))
    home.settle_cap(load(settings))
    assert load(settings).lake.cap_bytes == 20 * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[ingest]\nport = 9\n",
        "[lake]\nmin_free_bytes = 5\n",
        "[lake] # mine\n[ingest]\nport = 9",
        "# words\n[lake]",
    ],
)
def test_what_people_wrote_stays(settings, text):
    home.make_home(settings)
    (settings.home / "workbench.toml").write_text(text)
    before = load(settings)
    home.settle_cap(before)
    after = load(settings)
    assert after.lake.cap_bytes > 0
    assert after.ingest == before.ingest
    assert after.lake.min_free_bytes == before.lake.min_free_bytes
    assert all(line in (settings.home / "workbench.toml").read_text() for line in text.splitlines())


def test_a_file_that_cannot_be_extended_is_left_alone(settings):
    home.make_home(settings)
    file = settings.home / "workbench.toml"
    file.write_text("lake = {min_free_bytes = 5}\n")
    with pytest.raises(ConfigError, match="cap_bytes"):
        home.settle_cap(load(settings))
    assert file.read_text() == "lake = {min_free_bytes = 5}\n"


def test_the_environment_of_the_processes(settings):
    made = home.child_environment(settings, {"front.port": 1, "demo.enabled": False}, {"NO_PROXY": "a", "PATH": "/bin"})
    assert made["NO_PROXY"] == "a,localhost,127.0.0.1,::1"
    assert made["no_proxy"] == "localhost,127.0.0.1,::1"
    assert made["PATH"] == "/bin"
    seen = config.load(environ=made)
    assert (seen.home, seen.front.port, seen.demo.enabled) == (settings.home, 1, False)
