"""BigQuery, by its REST API. Rows of a kind are appended to `<kind>_rows`; the view `<kind>` has one per key.

A map is a repeated record of `key` and `value`. Tables are partitioned by day and clustered by the key.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import ConfigError, QueryError, StoreError, WorkbenchError
from workbench.schema import KINDS
from workbench.store.backends.http import shown_url
from workbench.store.backends.warehouse_rows import PLACE, columns_of, kept, kept_schema, restored

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = {
    pa.int8(): "INT64", pa.int32(): "INT64", pa.int64(): "INT64", pa.float64(): "FLOAT64", pa.string(): "STRING",
    pa.bool_(): "BOOL",
}  # fmt: skip
_PAIRS = pa.list_(pa.struct([pa.field("key", pa.string()), pa.field("value", pa.string())]))
_CLUSTERED_MAX = 4  # columns, BigQuery's limit


class BigQuery:
    """`bigquery://project/dataset`, with Google's default credentials; `?endpoint=http://…` names an emulator."""

    dialect = "bigquery"

    def __init__(self, url: str) -> None:
        self.url = shown_url(url)
        parts = urlsplit(url)
        self._project, self._dataset = parts.netloc, parts.path.strip("/")
        if not self._project or not self._dataset or "/" in self._dataset:
            hint = "As in bigquery://project/dataset."
            raise ConfigError("BigQuery needs a project and a dataset", where=self.url, hint=hint)
        self._endpoint = parse_qs(parts.query).get("endpoint", [""])[0]
        self._opening = threading.Lock()
        self._made: Any = None

    def days(self, kind: str) -> list[int]:
        """By the days of the times."""
        time = KINDS[kind].time
        if not time:
            return []
        day = f"DIV(UNIX_MICROS(`{time}`), 86400000000)"
        found = self._select(f"SELECT DISTINCT {day} AS day FROM `{kind}` ORDER BY day")
        return [int(one) for one in found.column("day").to_pylist()]

    def table(
        self, kind: str, *, start_us: int | None = None, end_us: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """By a SELECT of the columns and times that are asked for."""
        names = columns_of(kind, columns)
        time = KINDS[kind].time
        bounds = [(">=", start_us), ("<=", end_us)] if time else []
        tests = [f"UNIX_MICROS(`{time}`) {how} {bound}" for how, bound in bounds if bound is not None]
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return restored(kind, self._select(f"SELECT {', '.join(f'`{n}`' for n in names)} FROM `{kind}`{where}"), names)

    def write(self, kind: str, rows: pa.Table) -> None:
        """By a load job of Parquet, which is all or nothing."""
        from google.cloud import bigquery

        made = kept(kind, rows)
        for at, field in enumerate(made.schema):
            if pa.types.is_map(field.type):
                pairs = [[{"key": key, "value": value} for key, value in one] for one in made.column(at).to_pylist()]
                made = made.set_column(at, field.name, pa.array(pairs, _PAIRS))
        body = io.BytesIO()
        pq.write_table(made, body)
        body.seek(0)
        lists = bigquery.ParquetOptions()
        lists.enable_list_inference = True
        job = bigquery.LoadJobConfig(
            source_format="PARQUET", schema=_columns(kind), write_disposition="WRITE_APPEND", parquet_options=lists
        )
        name = f"{self._project}.{self._dataset}.{kind}_rows"
        with self._failing(StoreError):
            self._client.load_table_from_file(body, name, job_config=job).result()

    def schema(self, kind: str) -> pa.Schema:
        """As rows are kept: maps are lists of `key` and `value`."""
        fields = kept_schema(kind)
        return pa.schema([pa.field(f.name, _PAIRS, False) if pa.types.is_map(f.type) else f for f in fields])

    def sql(self, text: str, *, timeout_seconds: int) -> pa.Table:
        """By a query job that BigQuery itself ends when its time is over."""
        with self._failing(QueryError):
            return self._answer(text, timeout_seconds)

    def _select(self, text: str) -> pa.Table:
        with self._failing(StoreError):
            return self._answer(text, None)

    def _answer(self, text: str, timeout_seconds: int | None) -> pa.Table:
        from google.cloud import bigquery

        job = bigquery.QueryJobConfig(default_dataset=f"{self._project}.{self._dataset}", use_legacy_sql=False)
        if timeout_seconds is not None:
            job.job_timeout_ms = timeout_seconds * 1000
        answer = self._client.query(text, job_config=job).result()
        # Without the storage API: it needs a package of its own, and a right that readers seldom have.
        return answer.to_arrow(create_bqstorage_client=False)

    @property
    def _client(self) -> Any:
        """The client, once the dataset, its tables and views are there."""
        with self._opening:
            if self._made is None:
                client = self._connected()
                client.create_dataset(self._dataset, exists_ok=True)
                for kind in KINDS:
                    self._define(client, kind)
                self._made = client
            return self._made

    def _connected(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        if not self._endpoint:
            return bigquery.Client(project=self._project)
        anonymous = AnonymousCredentials()
        options = {"api_endpoint": self._endpoint}
        return bigquery.Client(project=self._project, credentials=anonymous, client_options=options)

    def _define(self, client: Any, kind: str) -> None:
        from google.cloud import bigquery

        name = f"{self._project}.{self._dataset}.{kind}"
        rows = bigquery.Table(f"{name}_rows", schema=_columns(kind))
        if KINDS[kind].time:
            rows.time_partitioning = bigquery.TimePartitioning(field=KINDS[kind].time)
        rows.clustering_fields = list(KINDS[kind].key[:_CLUSTERED_MAX])
        client.create_table(rows, exists_ok=True)
        view = bigquery.Table(name)
        key = ", ".join(f"`{column}`" for column in KINDS[kind].key)
        view.view_query = (
            f"SELECT * FROM `{name}_rows` WHERE TRUE QUALIFY "
            f"ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY `segment` DESC, `row` DESC) = 1"
        )
        client.create_table(view, exists_ok=True)

    @contextmanager
    def _failing(self, kind: type[WorkbenchError]) -> Iterator[None]:
        """What the driver raises, as ours."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except GoogleAuthError as error:
            hint = "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
            raise StoreError(f"Google knows no credentials here: {error}", where=self.url, hint=hint) from error
        except (GoogleAPIError, OSError) as error:
            raise kind(str(error).strip()[:500], where=self.url) from error


def _columns(kind: str) -> list[Any]:
    from google.cloud.bigquery import SchemaField

    columns = []
    for field in kept_schema(kind):
        if pa.types.is_map(field.type):
            pair = [SchemaField("key", "STRING"), SchemaField("value", "STRING")]
            columns.append(SchemaField(field.name, "RECORD", "REPEATED", fields=pair))
        else:
            name = "TIMESTAMP" if pa.types.is_timestamp(field.type) else _TYPES[field.type]
            columns.append(SchemaField(field.name, name, "NULLABLE" if field.nullable else "REQUIRED"))
    return [*columns, *(SchemaField(name, "INT64", "REQUIRED") for name in PLACE)]
