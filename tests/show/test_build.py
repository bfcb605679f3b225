"""The build of the browser side: what it makes, when it does nothing, what npm is told, how failures are explained."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import need
from workbench.errors import ConfigError
from workbench.show import build
from workbench.show.assets import STATIC_DIR

SCRIPT_BUDGET_BYTES = 150_000


def test_the_manifest_names_hashed_files_with_their_packed_twins(built: None) -> None:
    manifest = json.loads((STATIC_DIR / "manifest.json").read_text(encoding="utf-8"))
    scripts, styles = {"main.js", "boards.js", "ops.js", "worker.js"}, {"page.css", "ops.css"}
    assert {*scripts, *styles, "icon.svg"} == set(manifest)
    for name, entry in manifest.items():
        content = (STATIC_DIR / entry["file"]).read_bytes()
        stem, suffix = name.rsplit(".", 1)
        assert entry["file"] == f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        assert gzip.decompress((STATIC_DIR / f"{entry['file']}.gz").read_bytes()) == content
        assert (STATIC_DIR / f"{entry['file']}.br").stat().st_size < entry["bytes"]
    total = sum(entry["gzip_bytes"] for name, entry in manifest.items() if name.endswith(".js"))
    assert total < SCRIPT_BUDGET_BYTES


def test_a_second_build_does_nothing(built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert build.build() is False


def test_every_change_of_a_source_is_seen(tmp_path: Path) -> None:
    web = tmp_path / "web"
    shutil.copytree(build.WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    before = build.fingerprint(web)
    assert before == build.fingerprint(build.WEB)
    for name in ("src/units.ts", "package-lock.json", "build.mjs"):
        (web / name).write_text((web / name).read_text(encoding="utf-8") + "\n", encoding="utf-8")
        assert build.fingerprint(web) != before
        before = build.fingerprint(web)
    (web / "src" / "more.ts").write_text("", encoding="utf-8")
    assert build.fingerprint(web) != before


def test_the_lock_file_holds_hashes_and_no_addresses() -> None:
    lock = json.loads((build.WEB / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_the_types_hold(built: None) -> None:
    compiler = build.WEB / "node_modules" / ".bin" / "tsc"
    need(compiler.exists(), "the libraries of the browser side are not installed")
    node = build.find_node()
    assert node is not None
    environment = build.npm_environment({"PATH": "/usr/bin:/bin"}, node)
    done = subprocess.run(
        [compiler, "--noEmit"], cwd=build.WEB, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_npm_hears_of_the_proxy_and_the_certificates_that_pip_uses(tmp_path: Path) -> None:
    node = build.Node(tmp_path / "bin" / "node", ("npm",))
    pip = {"PATH": "/usr/bin", "PIP_PROXY": "http://proxy.test:3128", "PIP_CERT": "/etc/authority.pem"}
    found = build.npm_environment(pip, node)
    assert found["HTTPS_PROXY"] == found["HTTP_PROXY"] == "http://proxy.test:3128"
    assert found["NODE_EXTRA_CA_CERTS"] == "/etc/authority.pem"
    assert found["PATH"].split(":")[0] == str(tmp_path / "bin")
    # What npm was told itself goes before.
    own = build.npm_environment({**pip, "https_proxy": "http://own.test", "NODE_EXTRA_CA_CERTS": "/own.pem"}, node)
    assert "HTTPS_PROXY" not in own
    assert own["https_proxy"] == "http://own.test"
    assert own["NODE_EXTRA_CA_CERTS"] == "/own.pem"


def test_an_old_node_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, says in (("node", "v16.20.0"), ("npm", "8.0.0")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {says}\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setattr(build, "_CACHE", tmp_path / "none")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda _: None)
    assert build.find_node({"PATH": str(tmp_path)}) is None
    (tmp_path / "node").write_text("#!/bin/sh\necho v22.1.0\n", encoding="utf-8")
    found = build.find_node({"PATH": str(tmp_path)})
    assert found is not None
    assert found.node == tmp_path / "node"


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("npm error code ENOTFOUND", "does not reach its registry"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "does not trust the registry's certificate"),
        ("npm error code EINTEGRITY", "not the one that the lock file names"),
    ],
)
def test_a_failing_npm_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\necho '{complaint}' >&2\nexit 1\n", encoding="utf-8")
    npm.chmod(0o755)
    monkeypatch.setattr(build, "find_node", lambda _: build.Node(tmp_path / "node", (str(npm),)))
    with pytest.raises(ConfigError, match=re.escape(advice)):
        build.build(force=True)
    assert complaint in capsys.readouterr().err
