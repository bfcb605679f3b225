"""SQL over a real store: right answers, little read, nothing else open, bounded."""

from __future__ import annotations

import csv
import io
import json
import threading
import time

import pyarrow as pa
import pytest

import workbench
from workbench import config
from workbench.errors import InputError, QueryError, QueryLimit, QuerySyntaxError, VersionGone
from workbench.query import limited, parse_matchers, pointed_at, sql, sql_response
from workbench.schema import KINDS
from workbench.store import Identity, open_view, open_writer

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOON = 1_795_176_000 * SECOND  # 2026-11-20 12:00 UTC


def rows(kind: str, **columns: object) -> dict[str, pa.RecordBatch]:
    schema = KINDS[kind].schema
    count = len(next(iter(columns.values())))
    arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in schema]
    return {kind: pa.RecordBatch.from_arrays(arrays, schema=schema)}


def samples(series: int, times_us: list[int], values: list[float]) -> dict[str, pa.RecordBatch]:
    return rows("samples", series=[series] * len(values), time=times_us, type=[0] * len(values), value=values)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Three days in the lake, the fourth in the log alone."""
    settings = config.load(tmp_path_factory.mktemp("sql") / "home", environ={})
    writer = open_writer(settings)
    resource = (("service.instance.id", "a1"), ("service.name", "api"))
    identities = [
        Identity("otel", "http.requests", "counter", "{request}", "", resource, (("code", code),)) for code in "25"
    ] + [Identity("otel", "queue.wait", "gauge", "s", "", resource, ())]
    good, bad, wait = writer.register([(identity, "help", "") for identity in identities], "test")
    for day in range(3):
        times = [NOON + day * DAY + step * SECOND for step in range(100)]
        for number, scale in ((good, 2), (bad, 1), (wait, 0.5)):
            writer.append(samples(number, times, [scale * step for step in range(100)]))
        model = ["m1", "m2"]
        writer.append(
            rows("usage", time=times[:2], request_model=model, cost_usd=[1.5, 2.5], input_tokens=[3, 2**62],
                 hash=[f"{day}a", f"{day}b"], attributes=[[("k", "v")], None])
        ).result()  # fmt: skip
    writer.seal()
    writer.append(samples(good, [NOON + 3 * DAY], [7.0]))
    # The same event again, and a sample once more: the last one counts.
    writer.append(rows("events", source=["s"], id=["1"], type=["old"], time=[NOON])).result()
    writer.append(rows("events", source=["s"], id=["1"], type=["new"], time=[NOON])).result()
    writer.append(samples(wait, [NOON], [99.0])).result()
    writer.close()
    return settings


@pytest.fixture
def view(home):
    opened = open_view(home)
    yield opened
    opened.close()


def ask(view, text: str, **options: object) -> list[tuple]:
    table = sql(view, text, **{"now_us": NOON + 3 * DAY, **options})
    return [tuple(row.values()) for row in table.to_pylist()]


class Recorder:
    """A view that notes what was read of it."""

    def __init__(self, view) -> None:
        self._view = view
        self.tables: list[tuple] = []
        self.ids: set[int] = set()
        self.spans: list[tuple[int, int]] = []

    def __getattr__(self, name):
        return getattr(self._view, name)

    def table(self, kind, *, start_us=None, end_us=None, columns=None):
        self.tables.append((kind, start_us, end_us, columns))
        return self._view.table(kind, start_us=start_us, end_us=end_us, columns=columns)

    def samples(self, ids, start_us, end_us):
        self.ids |= set(map(int, ids))
        self.spans.append((start_us, end_us))
        return self._view.samples(ids, start_us, end_us)


def test_log_and_lake_are_one_and_the_newest_row_of_a_key_counts(view):
    assert ask(view, "SELECT type FROM events") == [("new",)]
    assert ask(view, "SELECT count(*) FROM samples") == [(901,)]
    assert ask(view, "SELECT value FROM measurements WHERE metric LIKE 'queue%' AND value > 90") == [(99.0,)]


def test_measurements_have_the_names_that_promql_sees(view):
    found = ask(
        view,
        "SELECT metric, unit, job, instance, labels['code'], count(*), max(value) FROM measurements "
        "WHERE job = 'api' AND metric <> 'target_info' GROUP BY ALL ORDER BY ALL",
    )
    assert found == [
        ("http_requests_total", "{request}", "api", "a1", "2", 301, 198.0),
        ("http_requests_total", "{request}", "api", "a1", "5", 300, 99.0),
        ("queue_wait_seconds", "s", "api", "a1", None, 300, 99.0),
    ]
    assert ask(view, "SELECT metric, type, unit, series FROM metrics ORDER BY metric") == [
        ("http_requests_total", "counter", "{request}", 2),
        ("queue_wait_seconds", "gauge", "s", 1),
    ]


def test_now_is_given_and_times_are_utc(view):
    asked = "SELECT count(*) FROM measurements WHERE metric = 'http_requests_total' AND time > {} - INTERVAL 1 DAY"
    for name in ("now()", "current_timestamp", "today()::TIMESTAMPTZ + INTERVAL 12 HOUR"):
        assert ask(view, asked.format(name)) == [(199,)]
    assert ask(view, "SELECT hour(max(time)), date_trunc('day', max(time))::VARCHAR FROM samples") == [
        (12, "2026-11-23 00:00:00+00")
    ]


def test_only_the_columns_times_and_series_that_are_named_are_read(view):
    seen = Recorder(view)
    ask(seen, "SELECT sum(cost_usd) FROM usage WHERE request_model = 'm1' AND time >= '2026-11-22'")
    ((kind, start_us, end_us, columns),) = seen.tables
    assert (kind, start_us, end_us) == ("usage", 1_795_305_600 * SECOND, None)
    assert sorted(columns) == ["cost_usd", "request_model", "time"]
    seen = Recorder(view)
    ask(seen, "SELECT avg(value) FROM measurements WHERE metric = 'queue_wait_seconds' AND time < '2026-11-21'")
    assert len(seen.ids) == 1
    assert max(end for _, end in seen.spans) == 1_795_219_200 * SECOND - 1
    seen = Recorder(view)
    ask(seen, "SELECT * FROM measurements WHERE metric = 'nothing'")
    ask(seen, "SELECT count(*) FROM samples WHERE time > '2026-01-02' AND time < '2026-01-01'")
    assert (seen.ids, seen.tables) == (set(), [])


def test_a_month_of_samples_is_read_a_day_at_a_time(view):
    seen = Recorder(view)
    shares: list[float] = []
    assert ask(seen, "SELECT count(value) FROM samples", progress=shares.append) == [(901,)]
    assert len(seen.tables) == 3
    assert all(0 <= share <= 1 for share in shares)


def test_sums_of_whole_numbers_and_spans_of_time_are_plain(view):
    table = sql(
        view,
        "SELECT sum(series) small, sum(input_tokens) big, max(u.time) - min(u.time) AS span FROM usage u, series",
        now_us=NOON,
    )
    assert table.schema.types == [pa.int64(), pa.float64(), pa.duration("us")]
    assert table.column("span")[0].as_py().days == 2


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "FROM read_text('/etc/hostname')",
        "FROM glob('/*')", "SELECT getenv('HOME')", "COPY (SELECT 1) TO '/tmp/x'", "INSTALL httpfs", "LOAD httpfs",
        "ATTACH '/tmp/x.db'", "SET threads = 9", "SET enable_external_access = true", "CREATE TABLE x(a INT)",
        "DROP VIEW samples", "DELETE FROM samples", "INSERT INTO events VALUES (1)", "PRAGMA database_list",
        "EXPORT DATABASE '/tmp/x'", "SELECT 1; SELECT 2", "CALL pragma_version()",
        "FROM parquet_metadata('/etc/passwd')",
        "PREPARE p AS SELECT 1", "FROM python_map_function((SELECT 1))", "SELECT secret FROM hidden", "", "-- nothing",
        "SELECT 1::POINTER", "FROM arrow_scan(1, 2, 3)", "SELECT ?", "EXPLAIN SELECT 1", "CHECKPOINT",
        "FROM read_parquet('http://127.0.0.1:1/x')", "FROM sniff_csv('/etc/passwd')",
        "FROM read_blob('/proc/self/environ')",
    ],
)  # fmt: skip
def test_a_statement_reads_the_tables_and_nothing_else(view, text):
    hidden = pa.table({"secret": [1]})
    assert hidden.num_rows
    with pytest.raises((QueryError, InputError)) as refused:
        ask(view, text)
    assert "Traceback" not in str(refused.value)
    assert "/etc/passwd" not in refused.value.message or "table" in refused.value.message


def test_nothing_of_the_machine_shows_in_the_settings(view):
    shown = ask(view, "SELECT value FROM duckdb_settings() WHERE value LIKE '%/%' OR value LIKE '%root%'")
    assert not [value for (value,) in shown if value.startswith("/")]


def test_a_table_can_be_closed(view):
    assert ask(view, "SELECT count(*) FROM audit") == [(0,)]
    with pytest.raises(QuerySyntaxError, match="no table 'audit'"):
        ask(view, "SELECT * FROM audit", without=("audit",))
    assert ("audit",) not in ask(view, "SELECT name FROM (SHOW TABLES)", without=("audit",))


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("SELEC 1", 0, "SELEC"),
        ("SELECT type FROM event", 17, "Did you mean 'events'?"),
        ("SELECT typ FROM events", 7, "Did you mean 'type'?"),
        ("SELECT 'é', typ FROM events", 12, "Did you mean 'type'?"),
        ("SELECT *\nFROM events\nWHERE nothing = 1", 27, "nothing"),
        ("SELECT 'x'::INT FROM events", 10, "x"),
        ("SELECT nofunction(1)", 7, "nofunction"),
    ],
)
def test_a_mistake_is_named_with_its_place(view, text, position, said):
    with pytest.raises(QuerySyntaxError) as wrong:
        ask(view, text)
    assert wrong.value.position == position
    assert said in str(wrong.value)
    line, mark = pointed_at(text, position).split("\n")
    assert line in text.split("\n")
    assert line[len(mark) - 1] == text[position]


def test_rows_samples_memory_and_time_are_bounded(view):
    with pytest.raises(QueryLimit, match="more than 10 rows"):
        ask(view, "FROM range(11)", limits=config.Query(max_rows=10))
    with pytest.raises(QueryLimit, match="too many samples"):
        ask(view, "SELECT avg(value) FROM samples", limits=config.Query(max_samples=299))
    assert ask(view, "SELECT count(value) FROM samples", limits=config.Query(max_samples=301)) == [(901,)]
    with pytest.raises(QueryLimit, match="64 MiB of memory"):
        ask(view, "FROM range(100000000) ORDER BY random()", limits=config.Query(sql_memory_bytes=64 * 2**20))
    with pytest.raises(QueryLimit, match="timed out after 1 s"):
        ask(view, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b",
            limits=config.Query(timeout_seconds=1))  # fmt: skip


def test_a_statement_can_be_cancelled(view):
    cancel = threading.Event()
    started = threading.Timer(0.1, cancel.set)
    started.start()
    with pytest.raises(QueryLimit, match="cancelled"):
        ask(view, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b", cancel=cancel)


def test_what_the_store_raises_is_raised(view):
    class Gone(Recorder):
        def table(self, kind, **_):
            raise VersionGone("that version is gone")

    with pytest.raises(VersionGone):
        ask(Gone(view), "SELECT type FROM events")


def test_a_notebook_gets_pandas(home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(home.home))
    frame = workbench.sql("SELECT time, value FROM measurements WHERE metric = 'queue_wait_seconds' ORDER BY time")
    assert str(frame.time.dt.tz) == "UTC"
    assert len(frame) == 300
    pinned = workbench.open(version=workbench.open().version)
    assert pinned.sql("SELECT count(*) n FROM events").n.tolist() == [0]
    assert pinned.sql("SELECT now() >= max(time) late FROM samples").late.tolist() == [True]


def respond(view, accept="", **parameters):
    return sql_response(
        view, parameters, accept, now_us=NOON + 3 * DAY, limits=config.Query(), without=("audit",)
    )  # fmt: skip


def test_the_answer_over_http_in_every_form(view):
    text = "SELECT time, request_model, attributes, cost_usd / 0 AS odd FROM usage ORDER BY time, hash LIMIT 2"
    status, media, body = respond(view, query=text)
    assert (status, media) == (200, "application/json")
    data = json.loads(body)["data"]
    assert [column["name"] for column in data["columns"]] == ["time", "request_model", "attributes", "odd"]
    assert data["rows"] == [
        ["2026-11-20T12:00:00Z", "m1", {"k": "v"}, None], ["2026-11-20T12:00:01Z", "m2", None, None],
    ]  # fmt: skip
    status, media, body = respond(view, "text/csv, */*;q=0.1", query=text)
    assert media == "text/csv"
    found = list(csv.DictReader(io.StringIO(body.decode())))
    assert found[0]["attributes"] == '{"k":"v"}'
    assert found[1]["attributes"] == ""
    status, media, body = respond(view, query=text, format="arrow")
    assert media == "application/vnd.apache.arrow.stream"
    assert pa.ipc.open_stream(body).read_all().num_rows == 2


@pytest.mark.parametrize(
    ("accept", "parameters", "status", "said"),
    [
        ("", {}, 400, "no statement"),
        ("", {"query": "SELECT x"}, 400, "1:8: parse error"),
        ("", {"query": "SELECT * FROM audit"}, 400, "no table 'audit'"),
        ("", {"query": "DROP VIEW events"}, 400, "only SELECT"),
        ("", {"query": "SELECT 1", "format": "xml"}, 400, "json, csv, arrow"),
        ("image/png", {"query": "SELECT 1"}, 415, "text/csv"),
        ("", {"query": "SELECT 1", "timeout": "soon"}, 400, "timeout"),
        ("", {"query": "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b", "timeout": "0.2"},
         503, "timed out"),
    ],
)  # fmt: skip
def test_errors_over_http_have_prometheus_shape(view, accept, parameters, status, said):
    found, media, body = respond(view, accept, **parameters)
    document = json.loads(body)
    assert (found, media, document["status"]) == (status, "application/json", "error")
    assert said in document["error"]


def test_statements_run_side_by_side(view):
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(ask(view, "SELECT count(*), sum(value) FROM measurements")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(one == found[0] for one in found)


def test_a_statement_leaves_no_thread_behind(view):
    before = {thread.name for thread in threading.enumerate()}
    ask(view, "SELECT 1")
    deadline = time.monotonic() + 5
    while {t.name for t in threading.enumerate()} - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not {thread.name for thread in threading.enumerate()} - before


def test_of_a_limited_view_only_its_rows_are_there(view):
    seen = limited(view, parse_matchers('{code="2"}'))
    assert ask(seen, "SELECT DISTINCT labels['code'] FROM measurements") == [("2",)]
    assert ask(seen, "SELECT metric, series FROM metrics") == [("http_requests_total", 1)]
    assert ask(seen, "SELECT count(*), count(DISTINCT series) FROM samples") == [(301, 1)]
    assert ask(seen, "SELECT count(*) FROM series") == [(1,)]
    for table in ("usage", "events", "audit", "alerts"):
        assert ask(seen, f"SELECT count(*) FROM {table}") == [(0,)]
    for text in ("SELECT count(*) FROM measurements WHERE metric = 'queue_wait_seconds'",
                 "SELECT count(*) FROM measurements WHERE labels['code'] = '5'",
                 "SELECT count(*) FROM measurements WHERE metric <> 'http_requests_total'"):  # fmt: skip
        assert ask(seen, text) == [(0,)]
