"""Doors under senseless questions: no crash, no hang, no 500, and no row that the caller may not see.

`FUZZ_EXAMPLES=5000 pytest tests/serve/test_fuzz.py` looks for longer.
"""

from __future__ import annotations

import os
import time

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tests.serve.served import Served
from workbench.serve.access.rows import set_rows

MARK = "zqsecretqz"
"""Stands in a label, a name and an event that the caller may not see, and in no question."""

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))
PROFILE = profile(
    deadline=None, max_examples=EXAMPLES, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SECONDS_MAX = 30


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("fuzz") / "home", **{"query.timeout_seconds": 5})
    now = time.time()
    times = [now - 60 + n for n in range(60)]
    for domain in ("arts", MARK):
        served.put("load", {"domain": domain, "n": "1"}, times, [float(n) for n in range(60)])
        served.put("hits_total", {"domain": domain}, times, [float(n) for n in range(60)])
        for bound in ("1", "+Inf"):
            served.put("wait_bucket", {"domain": domain, "le": bound}, times, [1.0] * 60)
    served.put(f"{MARK}_total", {"domain": MARK}, times, [4.0] * 60)
    served.writer.seal()
    served.view.refresh()
    set_rows(served.engine, "role:viewer", '{domain="arts"}')
    time.sleep(1)  # rows are remembered for 0.9 s
    with httpx.Client(base_url=served.url, headers=served.headers("viewer"), timeout=SECONDS_MAX) as made:
        assert MARK not in made.get("/api/v1/query", params={"query": "load"}).text
        yield made
    served.close()


def judge(answer: httpx.Response, question: object) -> None:
    assert answer.status_code != 500, (question, answer.text)
    assert answer.status_code < 500 or answer.status_code in (503, 504), (question, answer.status_code, answer.text)
    assert MARK not in answer.text, question
    assert all(MARK not in value for value in answer.headers.values()), question


numbers = st.sampled_from(["0", "1", "-1", "NaN", "Inf", "1e308", "0x1f", "5m", "1h30m", "-5m", "0.5"])
selectors = st.sampled_from(
    ["load", "hits_total", 'load{domain!="arts"}', '{__name__=~".+"}', "load{n='1'}", '{"load"}', "wait_bucket", "x",
     "load[5m]", "hits_total[1m:10s]", "load offset 1m", "load @ start()", '{domain=~"zq.*|"}', "target_info"]
)  # fmt: skip
functions = st.sampled_from(
    ["rate", "sum", "avg", "topk", "quantile", "histogram_quantile", "label_replace", "label_join", "absent", "info",
     "count_values", "sort_by_label", "limitk", "predict_linear", "holt_winters", "vector", "scalar", "time", "group",
     "changes", "max_over_time", "histogram_fraction", "nonsense", "delta", "clamp", "ln", "day_of_week"]
)  # fmt: skip
words = st.sampled_from(['"domain"', '"$1"', '"(.*)"', '"le"', '""', "'\\xff'", '"日本"'])


def _call(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner | numbers | words, max_size=4).map(", ".join)
    joined = st.tuples(inner, st.sampled_from(
        ["+", "/", "^", "%", "==", "> bool", "and", "or", "unless on(domain)", "* on() group_left(domain)", "atan2",
         "* ignoring(n)"]), inner).map(" ".join)  # fmt: skip
    modifier = st.sampled_from(["", " by (domain)", " without (n)", " by ()", " offset 1m", "[5m:1m]", " @ end()"])
    return (
        st.tuples(functions, arguments, modifier).map(lambda parts: f"{parts[0]}({parts[1]}){parts[2]}")
        | joined
        | inner.map(lambda text: f"-({text})")
    )


promql = st.recursive(selectors | numbers, _call, max_leaves=8) | st.text(max_size=30)
moments = st.sampled_from(["", "0", "now", "-1", "1e20", "NaN", "2026-11-24T00:00:00Z", "x", str(time.time())])
steps = st.sampled_from(["", "15", "0", "-1", "1e-9", "1e12", "5m", "NaN", "x"])
paths = st.sampled_from(
    ["/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/labels", "/api/v1/label/domain/values",
     "/api/v1/metadata", "/api/v1/format_query", "/api/v1/parse_query", "/api/v1/query_exemplars", "/federate",
     "/api/v1/status/tsdb", "/api/v1/windows"]
)  # fmt: skip


@PROFILE
@given(paths, promql, moments, moments, steps, st.booleans())
def test_promql_doors(client, path, query, start, end, step, post):
    asked = {"query": query, "match[]": query, "time": start, "start": start, "end": end, "step": step}
    asked = {name: text for name, text in asked.items() if text}
    answer = client.post(path, data=asked) if post else client.get(path, params=asked)
    judge(answer, (path, asked))


tables = st.sampled_from(
    ["samples", "series", "events", "usage", "audit", "dead_letter", "alerts", "sqlite_master", "duckdb_tables()",
     "information_schema.columns", "duckdb_secrets()", "'/etc/passwd'", "read_csv('/etc/passwd')", "glob('/**')",
     "read_parquet('**/*.parquet')", "pragma_database_list()", "duckdb_settings()", "(SELECT 1)", "range(10)",
     "generate_series(1, 1000000000)", "duckdb_logs()"]
)  # fmt: skip
columns = st.sampled_from(
    ["*", "1", "count(*)", "name", "value", "source", "attributes", "getenv('HOME')", "sum(value)", "x", "NULL",
     "current_setting('home_directory')", "list(name)", "max(payload)", "CAST('x' AS INT)", "1/0",
     "repeat('a', 99999999)",
     "unnest([1,2])", "attributes['domain']", "histogram(name)"]
)  # fmt: skip
tails = st.sampled_from(
    ["", " WHERE true", " WHERE value > 'x'", " GROUP BY ALL", " ORDER BY 1", " LIMIT 5", " WHERE domain <> 'arts'",
     " UNION ALL SELECT * FROM series", "; SELECT 1", "; DROP TABLE samples", " --", " CROSS JOIN series", " LIMIT -1",
     " WHERE attributes['domain'] <> 'arts'"]
)  # fmt: skip
statements = (
    st.tuples(columns, tables, tails).map(lambda parts: f"SELECT {parts[0]} FROM {parts[1]}{parts[2]}")
    | st.sampled_from(
        ["SHOW TABLES", "DESCRIBE samples", "SUMMARIZE series", "PRAGMA version",
         "COPY series TO '/tmp/x'", "EXPORT DATABASE '/tmp/x'",
         "ATTACH '/tmp/x.db'", "INSTALL httpfs", "SET threads=99", "CREATE TABLE t AS SELECT 1",
         "CALL pragma_version()",
         "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT max(n) FROM t",
         "EXPLAIN SELECT * FROM series",
         "PREPARE a AS SELECT 1", "FROM series", "PIVOT series ON name", "SELECT * FROM query('SELECT * FROM series')"]
    )
    | st.text(max_size=40)
)  # fmt: skip


@PROFILE
@given(statements, st.sampled_from(["", "json", "csv", "arrow", "xml"]), st.booleans())
def test_sql_door(client, statement, form, post):
    asked = {"query": statement, **({"format": form} if form else {})}
    answer = client.post("/api/v1/sql", data=asked) if post else client.get("/api/v1/sql", params=asked)
    judge(answer, asked)
    assert b"root:x:0" not in answer.content
    assert os.environ["PATH"].encode() not in answer.content
