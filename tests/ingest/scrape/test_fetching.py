"""How targets are found and asked: secrets, TLS, limits, media types, discoveries, a file that changes."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
import trustme

from tests.ingest.scrape.conftest import OPENMETRICS, TEXT, Answer, Exposer
from workbench.errors import StoreError
from workbench.ingest import Scraper
from workbench.ingest.points import Member
from workbench.ingest.scrape.loop import TargetLoop
from workbench.store import Identity


class MemorySink:
    """Series and samples in memory; `fault` is raised in the place of keeping them."""

    def __init__(self) -> None:
        self.ids: dict[Identity, int] = {}
        self.batches: list[pa.RecordBatch] = []
        self.fault: StoreError | None = None

    async def enter(self, members: Sequence[Member], source: str) -> list[int | None]:
        if self.fault:
            raise self.fault
        return [self.ids.setdefault(member.identity, len(self.ids) + 1) for member in members]

    async def append(self, samples: pa.RecordBatch) -> None:
        if self.fault:
            raise self.fault
        self.batches.append(samples)

    def last(self) -> dict[str, object]:
        """Name -> value of the newest rows, 'stale' for markers."""
        batch = self.batches[-1]
        rows = zip(batch["series"].to_pylist(), batch["value"].to_pylist(), batch["stale"].to_pylist(), strict=True)
        names = {number: identity.name for identity, number in self.ids.items()}
        return {names[series]: "stale" if stale else value for series, value, stale in rows}


class Scene:
    """A scraper over a file, whose loops are driven by hand: their own grid is an hour wide."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scrape.yml"
        self.sink = MemorySink()
        self.scraper = Scraper(self.file, self.sink)
        self.time_us = 0

    async def write(self, jobs: str) -> None:
        """Put jobs into the file, and let the scraper see it."""
        self.file.write_text(f"global: {{scrape_interval: 1h}}\nscrape_configs:\n{jobs}\n")
        await self.scraper.look()

    def loops(self) -> list[TargetLoop]:
        return [loop for job in self.scraper.jobs.values() for loop in job.loops.values()]

    async def scrape(self, jobs: str = "") -> TargetLoop:
        """Scrape the one target of the file."""
        if jobs:
            await self.write(jobs)
        (loop,) = self.loops()
        self.time_us += 1_000_000
        await loop.scrape(self.time_us)
        return loop

    async def close(self) -> None:
        await asyncio.gather(*(job.stop(gone=False) for job in self.scraper.jobs.values()))


@pytest.fixture
def play(tmp_path: Path) -> Callable:
    """Runs an async function of a scene."""

    def run(act) -> None:
        async def whole() -> None:
            scene = Scene(tmp_path)
            try:
                await act(scene)
            finally:
                await scene.close()

        asyncio.run(whole())

    return run


def test_who_asks_and_what_for(play, exposer: Exposer, tmp_path):
    exposer.answers["/metrics"] = Answer(b"a 1\n")
    (tmp_path / "secret").write_text("first\n")
    target = f"static_configs: [{{targets: ['{exposer.address}']}}]"

    async def act(scene: Scene) -> None:
        await scene.scrape(f"- {{job_name: a, basic_auth: {{username: u, password_file: secret}}, {target}}}")
        (tmp_path / "secret").write_text("second\n")
        await scene.scrape()
        await scene.scrape(
            "- {job_name: a, authorization: {credentials: s3}, http_headers: {x-tenant: {values: [t]}}, " + target + "}"
        )
        await scene.scrape(f"- {{job_name: a, basic_auth: {{username: u, password_file: gone}}, {target}}}")
        assert "gone" in scene.loops()[0].health.error

    play(act)
    headers = [found for _, found in exposer.asked]
    plain = [base64.b64decode(found["authorization"].removeprefix("Basic ")) for found in headers[:2]]
    assert plain == [b"u:first", b"u:second"]
    assert (headers[2]["authorization"], headers[2]["x-tenant"]) == ("Bearer s3", "t")
    assert headers[0]["x-prometheus-scrape-timeout-seconds"] == "10"
    assert len(headers) == 3


@pytest.mark.parametrize(
    ("answer", "job", "told"),
    [
        (Answer(b"a 1\n", status=503), "", "503"),
        (Answer(b"a 1\n", media="text/html"), "", "unsupported Content-Type 'text/html'"),
        (Answer(b"a 1\n", media=""), "", "no Content-Type"),
        (Answer(b"a 1\n", media=""), "fallback_scrape_protocol: PrometheusText0.0.4,", ""),
        (Answer(b"a 1\n" * 1000), "body_size_limit: 1KB,", "body size limit exceeded"),
        (Answer(gzip.compress(b"a 1\n"), headers={"Content-Encoding": "gzip"}), "", ""),
        (Answer(gzip.compress(b"a" * 5000), headers={"Content-Encoding": "gzip"}), "body_size_limit: 1KB,", "limit"),
        (Answer(b"a 1\n", media=OPENMETRICS), "", "EOF"),
        (Answer(b"\xff 1\n"), "", "not UTF-8"),
        (Answer(b"", status=302, headers={"Location": "/elsewhere"}), "", ""),
        (Answer(b"", status=302, headers={"Location": "/elsewhere"}), "follow_redirects: false,", "302"),
    ],
)  # fmt: skip
def test_answers_that_are_and_are_not_taken(play, exposer, answer, job, told):
    exposer.answers |= {"/metrics": answer, "/elsewhere": Answer(b"a 1\n")}

    async def act(scene: Scene) -> None:
        loop = await scene.scrape(f"- {{job_name: a, {job} static_configs: [{{targets: ['{exposer.address}']}}]}}")
        assert (loop.health.state, told in loop.health.error) == ("down" if told else "up", True)
        assert scene.sink.last()["up"] == (0 if told else 1)
        assert scene.sink.last().get("a") == (None if told else 1)

    play(act)


def test_a_target_that_does_not_answer_in_time(play):
    async def act(scene: Scene) -> None:
        async def silent(reader, writer) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop = await scene.scrape(
            f"- {{job_name: a, scrape_timeout: 50ms, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}"
        )
        assert loop.health.error == "no answer within 0.05 s"
        server.close()

    play(act)


def test_tls_with_an_authority_of_its_own_and_a_certificate_of_the_client(play, exposer, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = authority.issue_cert("scraper.test")
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("inside.test").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    exposer.server.socket = context.wrap_socket(exposer.server.socket, server_side=True)
    exposer.answers["/metrics"] = Answer(b"a 1\n")
    target = f"scheme: https, static_configs: [{{targets: ['{exposer.address}']}}]"
    own = "cert_file: client.pem, key_file: client.key"

    async def act(scene: Scene) -> None:
        tls = f"{{ca_file: ca.pem, server_name: inside.test, {own}}}"
        assert (await scene.scrape(f"- {{job_name: a, tls_config: {tls}, {target}}}")).health.error == ""
        loop = await scene.scrape(f"- {{job_name: a, tls_config: {{ca_file: ca.pem, {own}}}, {target}}}")
        assert "certificate" in loop.health.error  # it is not issued for the address
        loop = await scene.scrape(f"- {{job_name: a, tls_config: {{insecure_skip_verify: true, {own}}}, {target}}}")
        assert loop.health.error == ""
        await scene.write(f"- {{job_name: a, tls_config: {{ca_file: missing.pem}}, {target}}}")
        assert "missing.pem" in scene.scraper.jobs["a"].troubles[0]

    play(act)


def test_targets_come_and_go_with_their_files(play, exposer, tmp_path):
    exposer.answers["/metrics"] = Answer(b"a 1\n")
    found = tmp_path / "sd" / "one.json"
    found.parent.mkdir()

    async def act(scene: Scene) -> None:
        await scene.write("- {job_name: a, file_sd_configs: [{files: ['sd/*.json', 'sd/*.yml']}]}")
        assert scene.loops() == []
        found.write_text(json.dumps([{"targets": [exposer.address], "labels": {"env": "x"}}]))
        await scene.scraper.look()
        loop = await scene.scrape()
        assert dict(loop.target.labels)["env"] == "x"
        found.write_text("[{")
        await scene.scraper.look()
        assert len(scene.loops()) == 1, "a file that is half written keeps what it said"
        assert "one.json:1: not YAML" in scene.scraper.jobs["a"].troubles[0]
        found.unlink()
        await scene.scraper.look()
        assert scene.loops() == []
        assert set(scene.sink.last().values()) == {"stale"}

    play(act)


def test_targets_are_asked_for_at_an_address(play, exposer):
    exposer.answers["/metrics"] = Answer(b"a 1\n")
    groups = [{"targets": [exposer.address], "labels": {"env": "x"}}]
    exposer.answers["/sd"] = Answer(json.dumps(groups).encode(), "application/json")

    async def act(scene: Scene) -> None:
        await scene.write(
            f"- {{job_name: a, http_sd_configs: [{{url: 'http://{exposer.address}/sd', refresh_interval: 10ms}}]}}"
        )

        async def until(condition: Callable[[], object]) -> None:
            async with asyncio.timeout(20):
                while not condition():
                    await asyncio.sleep(0.01)  # the discovery asks by itself
                    await scene.scraper.look()

        await until(scene.loops)
        exposer.answers["/sd"] = Answer(b"{}", "text/html")
        await until(lambda: scene.scraper.jobs["a"].troubles)
        assert "not application/json" in scene.scraper.jobs["a"].troubles[0]
        assert len(scene.loops()) == 1

    play(act)


def test_a_change_of_the_file_keeps_what_stays_the_same(play, exposer):
    exposer.answers["/metrics"] = Answer(b"a 1\nb 2\n")
    target = f"static_configs: [{{targets: ['{exposer.address}']}}]"

    async def act(scene: Scene) -> None:
        await scene.scrape(f"- {{job_name: a, {target}}}")
        drop = "metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]"
        await scene.scrape(f"- {{job_name: a, {drop}, {target}}}")
        assert {name: scene.sink.last()[name] for name in "ab"} == {"a": 1, "b": "stale"}
        before = scene.file.read_text()
        scene.file.write_text(before + "- job_nam: x\n")
        await scene.scraper.look()
        assert "did you mean 'job_name'" in scene.scraper.fault
        assert (await scene.scrape()).health.state == "up"
        scene.file.write_text(before.replace("job_name: a", "job_name: a, target_limit: 1"))
        await scene.scraper.look()
        assert scene.scraper.fault == ""
        await scene.write("")
        assert scene.loops() == []
        assert set(scene.sink.last().values()) == {"stale"}

    play(act)


def test_over_the_target_limit_all_targets_say_so(play, exposer):
    async def act(scene: Scene) -> None:
        await scene.write(
            f"- {{job_name: a, target_limit: 1, static_configs: [{{targets: ['{exposer.address}', 'b:1']}}]}}"
        )
        for loop in scene.loops():
            await loop.scrape(1_000_000)
            assert "target_limit exceeded: 2 targets" in loop.health.error

    play(act)


def test_what_the_hub_does_not_take_is_told_and_the_target_is_not_down(play, exposer):
    exposer.answers["/metrics"] = Answer(b"a 1\n", TEXT)

    async def act(scene: Scene) -> None:
        scene.sink.fault = StoreError("the hub does not answer")
        loop = await scene.scrape(f"- {{job_name: a, static_configs: [{{targets: ['{exposer.address}']}}]}}")
        assert (loop.health.state, loop.health.trouble) == ("up", "not kept: the hub does not answer")
        scene.sink.fault = None
        await scene.scrape()
        assert loop.health.trouble == ""
        assert scene.sink.last()["a"] == 1

    play(act)
