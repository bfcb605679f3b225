"""What was refused: kept whole, mended, sent once more, exactly once."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import orjson
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tests.ingest.conftest import NOBODY, TOKEN
from tests.ingest.messages import add_attributes, now_ms, otlp_request, snap, write_request
from tests.ingest.test_events import event
from workbench import cli
from workbench.ingest import Mend, Receiver, find_letters, replay
from workbench.ingest.events import BATCH, SINGLE
from workbench.ingest.pieces import Point, read_point, words
from workbench.ingest.points import Member
from workbench.ingest.receiver import PROTOBUF
from workbench.store import Identity, open_view, open_writer

OLD_MS = 1_600_000_000_000


@pytest.fixture
def refused(settings):
    """A home whose doors refused two old samples, a histogram, and an event without a type."""
    with open_writer(settings) as writer:
        receiver = Receiver(writer, settings)
        body = write_request([({"__name__": "load", "hots": "a"}, [(OLD_MS, 1.5), (OLD_MS + 1000, float("nan"))])])
        receiver.remote_write(snap(body), PROTOBUF, "snappy", TOKEN).future.result(30)
        request, metrics = otlp_request()
        metric = metrics.add(name="wait", unit="s").histogram
        metric.aggregation_temporality = 2
        point = metric.data_points.add(time_unix_nano=OLD_MS * 10**6, count=3, sum=4.5, start_time_unix_nano=10**18)
        point.explicit_bounds.extend([1.0, 2.0])
        point.bucket_counts.extend([1, 1, 1])
        add_attributes(point, path="/")
        receiver.otlp_metrics(request.SerializeToString(), PROTOBUF, "", NOBODY).future.result(30)
        odd = event()
        odd["kind"] = odd.pop("type")
        receiver.events(orjson.dumps([odd, event(id="2", time=5)]), BATCH, "", TOKEN).future.result(30)
        receiver.close()
    return settings


def letters(settings, **choice):
    return find_letters(open_view(settings), **choice)


def samples(settings) -> dict[str, list[tuple[int, float]]]:
    view = open_view(settings)
    found = {}
    for series in view.registry.since(0):
        got = view.samples(np.array([series.id]), 0, 2**62)
        i = series.identity
        name = f"{i.name}{dict(i.attributes)}{i.part}{'' if i.bound is None else i.bound}"
        found[name] = list(zip(got.times_us.tolist(), got.values.tolist(), strict=True))
    return found


def test_what_is_refused_for_its_time_is_kept_whole_and_comes_in_later(refused):
    assert samples(refused) == {}
    chosen = letters(refused, reason="too_old")
    assert sorted((letter.door, letter.count, len(letter.pieces)) for letter in chosen) == [
        ("otlp", 1, 1), ("remote_write", 2, 2),
    ]  # fmt: skip
    done = replay(refused, [letter.id for letter in chosen], Mend(rename={"labels.hots": "host"}), clock_us=now_us)
    # The histogram has no such label, so it stays; the samples came with their label mended.
    assert (done.letters, done.pieces, len(done.stay)) == (1, 2, 1)
    found = samples(refused)
    assert [at for at, _ in found["load{'host': 'a'}"]] == [OLD_MS * 1000, (OLD_MS + 1000) * 1000]
    assert found["load{'host': 'a'}"][0][1] == 1.5
    assert np.isnan(found["load{'host': 'a'}"][1][1])
    (left,) = letters(refused, reason="too_old")
    assert replay(refused, [left.id], Mend()).pieces == 1
    found = samples(refused)
    at = OLD_MS * 1000
    assert {name: rows for name, rows in found.items() if name.startswith("wait")} == {
        "wait{'path': '/'}bucket1.0": [(at, 1.0)],
        "wait{'path': '/'}bucket2.0": [(at, 2.0)],
        "wait{'path': '/'}bucketinf": [(at, 3.0)],
        "wait{'path': '/'}count": [(at, 3.0)],
        "wait{'path': '/'}sum": [(at, 4.5)],
    }
    assert letters(refused, reason="too_old") == []
    assert {one.source for one in open_view(refused).registry.since(0)} == {
        "dead-letter:token:1", "dead-letter:anonymous",
    }  # fmt: skip


def test_what_fails_again_stays_and_the_rest_goes(refused):
    (letter,) = letters(refused, door="events")
    assert (letter.count, len(letter.pieces)) == (2, 2)
    done = replay(refused, [letter.id], Mend(put={"source": "/mended"}))
    assert (done.letters, done.pieces) == (0, 0)
    assert [fault.split(":")[0] for _, fault in done.stay] == ["type", "time"]
    done = replay(refused, [letter.id], Mend(rename={"kind": "type"}))
    assert (done.pieces, len(done.stay)) == (1, 1)
    (left,) = letters(refused, door="events")
    assert (left.count, [piece["id"] for piece in left.pieces]) == (1, ["2"])
    assert replay(refused, [letter.id], Mend(time="now")).letters == 1
    assert sorted(open_view(refused).table("events")["id"].to_pylist()) == ["01J", "2"]
    (closed,) = letters(refused, door="events", closed=True)
    assert closed.reason == "replayed"
    assert "it was bad_event" in closed.message


def test_a_letter_is_replayed_once_and_its_rows_survive_the_seal(refused):
    chosen = [letter.id for letter in letters(refused, door="remote_write")]
    assert replay(refused, chosen, Mend()).pieces == 2
    assert replay(refused, chosen, Mend()).pieces == 0
    with open_writer(refused) as writer:
        writer.seal()
    assert replay(refused, chosen, Mend()).pieces == 0
    assert len(samples(refused)["load{'hots': 'a'}"]) == 2
    rows = open_view(refused).table("dead_letter").to_pylist()
    assert len(rows) == len({row["id"] for row in rows}) == 3


def test_a_replay_that_dies_before_its_record_is_durable_leaves_the_letter_open(refused, monkeypatch):
    (letter,) = letters(refused, door="remote_write")

    def die(self, batches):
        raise OSError("killed here")

    monkeypatch.setattr("workbench.store.Writer.append", die)
    with pytest.raises(OSError, match="killed"):
        replay(refused, [letter.id], Mend())
    monkeypatch.undo()
    assert replay(refused, [letter.id], Mend(time="+48h")).pieces == 2
    assert samples(refused)["load{'hots': 'a'}"][0][0] == (OLD_MS + 48 * 3_600_000) * 1000


def test_the_future_and_reserved_lengths_are_refused_again(refused):
    (letter,) = letters(refused, door="remote_write")
    far = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9e5))
    for mend, why in ((Mend(time=far), "future"), (Mend(put={"name": ""}), "required"), (Mend(time="soon"), "no time")):
        done = replay(refused, [letter.id], mend)
        assert done.pieces == 0
        assert all(why in fault for _, fault in done.stay), done.stay


def test_a_flood_of_refusals_is_counted_and_kept_in_bounds(settings, receiver, writer):
    series = [({"__name__": "x", "n": str(n)}, [(1, 1.0)]) for n in range(5000)]
    receiver.remote_write(snap(write_request(series)), PROTOBUF, "snappy", TOKEN)
    (row,) = writer.rows("dead_letter")
    assert row["count"] == 5000
    assert len(row["payload"]) <= 4096
    assert 5 < len(row["payload"].splitlines()) <= 100
    assert all(json.loads(line)["name"] == "x" for line in row["payload"].splitlines())


def test_the_commands(refused, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["dead-letters", *arguments, "--home", str(refused.home)])
        found = capsys.readouterr()
        return code, found.out, found.err

    code, out, _ = run("list", "--since", "-1h")
    assert code == 0
    assert len(out.splitlines()) == 3
    one = next(line.split()[0] for line in out.splitlines() if "events" in line)
    assert '"kind": "ai.synth' in run("show", one)[1]
    assert "name dead letters" in run("replay")[2]
    assert "no dead letter begins" in run("replay", "zz")[2]
    code, _, err = run("replay", one)
    assert code == 1
    assert "type: is required" in err
    assert "re-played 1 pieces" in run("replay", one, "--rename", "kind=type")[1]
    assert "closed 1" in run("discard", one)[1]
    assert one not in run("list")[1]
    assert one in run("list", "--all")[1]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
pairs = st.dictionaries(texts.filter(bool), texts.filter(bool), max_size=4).map(lambda d: tuple(sorted(d.items())))
values = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53).map(float)


@profile(deadline=None, max_examples=150)
@given(texts.filter(bool), texts, pairs, pairs, st.lists(values, min_size=1, max_size=4), st.integers(1, 2**51))
def test_a_point_survives_being_put_into_words(name, unit, resource, labels, found, time_us):
    kept = "otel", name, "histogram", unit, "cumulative", resource, labels
    parts = [("", None)] if len(found) == 1 else [("bucket", float(n)) for n in range(len(found))]
    members = [Member(Identity(*kept, part, bound), "help", "scope") for part, bound in parts]
    point = Point(members, time_us, found, 7, False)
    assert read_point(json.loads(words(point))) == point


def test_a_single_event_is_known_by_its_door(refused):
    with open_writer(refused) as writer:
        receiver = Receiver(writer, refused)
        receiver.events(orjson.dumps({"specversion": "1.0"}), SINGLE, "", TOKEN).future.result(30)
        receiver.close()
    found = [letter for letter in letters(refused, door="events") if letter.count == 1]
    mend = Mend(put={"id": "n", "source": "/s", "type": "t", "data.deep": "x"}, time="now")
    assert replay(refused, [found[0].id], mend).pieces == 1
    (row,) = open_view(refused).table("events").to_pylist()
    assert json.loads(row["data"]) == {"deep": "x"}


def test_the_snippets_of_the_page_run(capsys):
    text = (ROOT / "docs" / "data-quality.md").read_text(encoding="utf-8")
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(snippet, {})
    assert "re-played 0 pieces" in capsys.readouterr().out


def now_us() -> int:
    return now_ms() * 1000
