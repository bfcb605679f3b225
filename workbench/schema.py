"""What flows between rooms: Arrow tables of a declared kind, with the unit and meaning of every column.

Times are `timestamp[us, UTC]`. Every table of the lake carries `segment` and `row`: where in the log a row was
acknowledged; of two rows with the same key the highest (segment, row) wins, in reads and in compaction alike.
OpenTelemetry terms follow its data model (metrics, logs, traces 1.x); events follow CloudEvents 1.0; costs FOCUS 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

LAYOUT_VERSION = 2
"""Version of everything written below a home. A workbench that does not know it refuses to open it."""

STALE_NAN_BITS = 0x7FF0000000000002
"""Bit pattern of the value of a staleness marker (Prometheus `model/value`); stored beside the `stale` flag."""

TIME = pa.timestamp("us", tz="UTC")
_TEXT_MAP = pa.map_(pa.string(), pa.string())

MIN_SCHEMA, MAX_SCHEMA, CUSTOM_SCHEMA = -4, 8, -53
"""Resolutions of native histograms: base-2 exponential ones, finer ones are scaled down at the door; and own bounds."""

RESET_UNKNOWN, RESET, NO_RESET, GAUGE = 0, 1, 2, 3
"""Values of a native histogram's `reset_hint`: what its sender says of a counter reset just before it."""

NATIVE_HISTOGRAM = pa.struct(
    [
        # Bucket i of schema s holds (2^((i-1)/2^s), 2^(i/2^s)], mirrored for negative values. In schema -53 it holds
        # (custom_bounds[i-1], custom_bounds[i]]; the first begins at -Inf, one more than there are bounds ends at +Inf.
        pa.field("schema", pa.int32()),
        pa.field("reset_hint", pa.int8()),
        pa.field("count", pa.float64()),
        pa.field("sum", pa.float64()),
        pa.field("zero_threshold", pa.float64()),
        pa.field("zero_count", pa.float64()),
        pa.field("positive_indexes", pa.list_(pa.int32())),
        pa.field("positive_counts", pa.list_(pa.float64())),
        pa.field("negative_indexes", pa.list_(pa.int32())),
        pa.field("negative_counts", pa.list_(pa.float64())),
        pa.field("custom_bounds", pa.list_(pa.float64())),
    ]
)
"""A native histogram: exponential as OpenTelemetry and Prometheus have it, or with bounds of its own (Prometheus).

Buckets without observations are left out; indexes ascend; counts are absolute, not deltas between buckets. A missing
`sum` was not sent. Source: https://prometheus.io/docs/specs/native_histograms/.
"""

EXEMPLAR = pa.struct(
    [
        pa.field("time", TIME),
        pa.field("value", pa.float64()),
        pa.field("trace_id", pa.string()),
        pa.field("span_id", pa.string()),
        pa.field("attributes", _TEXT_MAP),
    ]
)


@dataclass(frozen=True)
class Column:
    """One column of a kind: its Arrow type, its unit (UCUM, empty if none) and what it means."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    nullable: bool = True


@dataclass(frozen=True)
class Kind:
    """A kind of table: its columns, the key that makes a row unique, and how it is looked after.

    `key` names the columns whose values make a row unique; `time` the column that partitions the table by UTC day
    (empty: not partitioned); `classification` is one of public, internal, personal.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str
    owner: str
    classification: str
    retention_days: int | None

    @property
    def by_series(self) -> bool:
        """Whether files are sorted by series, then time; all others but `series` itself are by time."""
        return bool(self.time) and "series" in self.key

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of what rooms hand to each other: without `segment`, `row` and the partition column."""
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])

    @property
    def stored(self) -> pa.Schema:
        """Arrow schema of the lake's table: `schema`, then `segment`, `row` and, where partitioned, `day`."""
        extra = [pa.field("segment", pa.int64(), False), pa.field("row", pa.int64(), False)]
        if self.time:
            extra.append(pa.field("day", pa.date32()))
        return pa.schema([*self.schema, *extra])


SAMPLE_TYPES = ("float", "histogram", "exemplar")
"""Values of `samples.type`: 0 a float, 1 a native histogram, 2 an exemplar without a measurement of its own."""

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "series",
            "What each series id means, as OpenTelemetry or Prometheus named it.",
            (
                Column("series", pa.int64(), "id of the series, unique in this lake", nullable=False),
                Column("convention", pa.string(), "`otel` or `prometheus`: whose naming rules the name follows"),
                Column("name", pa.string(), "metric name as it was sent"),
                Column("type", pa.string(), "gauge, counter, (exponential_, native_)histogram, summary, unknown…"),
                Column("unit", pa.string(), "unit of the values (UCUM), as it was sent"),
                Column("temporality", pa.string(), "cumulative, delta or empty (gauges)"),
                Column("resource", _TEXT_MAP, "resource attributes"),
                Column("attributes", _TEXT_MAP, "data point attributes, or labels but for the name"),
                Column("part", pa.string(), "of a histogram or summary: bucket, count, sum, quantile; or empty"),
                Column("bound", pa.float64(), "upper bound of the bucket, or the quantile; null elsewhere"),
                Column("description", pa.string(), "help text as it was sent first"),
                Column("scope", pa.string(), "instrumentation scope that sent it first"),
                Column("source", pa.string(), "who sent it first: `anonymous`, `token:<id>`, `import:<file>`…"),
                Column("first_seen", TIME, "when the series was registered"),
            ),
            ("series",), "", "platform", "internal", None,
        ),
        Kind(
            "samples",
            "Measurements: one row per series and time.",
            (
                Column("series", pa.int64(), "id in `series`", nullable=False),
                Column("time", TIME, "when it was measured", nullable=False),
                Column("type", pa.int8(), "0 float, 1 native histogram, 2 an exemplar alone", nullable=False),
                Column("value", pa.float64(), "the measurement in the series' unit; null where type is not 0"),
                Column("stale", pa.bool_(), "a staleness marker: the series ended here"),
                Column("start_time", TIME, "when the cumulative value started to count; null for gauges"),
                Column("histogram", NATIVE_HISTOGRAM, "the native histogram, where type is 1"),
                Column("exemplar", EXEMPLAR, "one exemplar, linking the measurement to a trace"),
            ),
            ("series", "time", "type"), "time", "platform", "internal", 15,
        ),
        Kind(
            "events",
            "What happened: CloudEvents 1.0, in structured form.",
            (
                Column("source", pa.string(), "context in which it happened", nullable=False),
                Column("id", pa.string(), "unique within the source", nullable=False),
                Column("type", pa.string(), "kind of event, e.g. ai.synth.content.accepted.v1", nullable=False),
                Column("time", TIME, "when it happened, else when it was received", nullable=False),
                Column("subject", pa.string(), "whom or what it is about"),
                Column("datacontenttype", pa.string(), "media type of `data`"),
                Column("dataschema", pa.string(), "schema that `data` adheres to"),
                Column("data", pa.string(), "payload as JSON text"),
                Column("extensions", _TEXT_MAP, "extension attributes, e.g. traceparent"),
                Column("received", TIME, "when the door took it"),
            ),
            ("source", "id"), "time", "product", "personal", 90,
        ),
        Kind(
            "spans",
            "Units of work of a trace (OpenTelemetry).",
            (
                Column("trace_id", pa.string(), "32 hexadecimal digits", nullable=False),
                Column("span_id", pa.string(), "16 hexadecimal digits", nullable=False),
                Column("parent_span_id", pa.string(), "empty for a root"),
                Column("name", pa.string(), "operation"),
                Column("kind", pa.string(), "internal, server, client, producer, consumer"),
                Column("time", TIME, "start", nullable=False),
                Column("duration_seconds", pa.float64(), "end minus start", unit="s"),
                Column("status", pa.string(), "unset, ok, error"),
                Column("resource", _TEXT_MAP, "resource attributes"),
                Column("attributes", _TEXT_MAP, "span attributes"),
            ),
            ("trace_id", "span_id"), "time", "platform", "internal", 15,
        ),
        Kind(
            "logs",
            "Log records (OpenTelemetry).",
            (
                Column("time", TIME, "when it was written", nullable=False),
                Column("severity", pa.int32(), "OpenTelemetry severity number 1-24"),
                Column("body", pa.string(), "text or JSON"),
                Column("trace_id", pa.string(), "trace it belongs to"),
                Column("span_id", pa.string(), "span it belongs to"),
                Column("resource", _TEXT_MAP, "resource attributes"),
                Column("attributes", _TEXT_MAP, "record attributes"),
                Column("hash", pa.string(), "content hash or the client's idempotency key", nullable=False),
            ),
            ("hash",), "time", "platform", "internal", 15,
        ),
        Kind(
            "usage",
            "LLM calls: tokens, latency, cost as computed.",
            (
                Column("time", TIME, "when the call ended", nullable=False),
                Column("service_name", pa.string(), "component that called"),
                Column("role", pa.string(), "engineer, checker, target, judge, tracer, optimizer, search"),
                Column("provider", pa.string(), "gen_ai.provider.name"),
                Column("request_model", pa.string(), "gen_ai.request.model"),
                Column("response_model", pa.string(), "gen_ai.response.model"),
                Column("operation", pa.string(), "gen_ai.operation.name"),
                Column("domain", pa.string(), "STREAM domain"),
                Column("input_tokens", pa.int64(), "tokens sent", unit="{token}"),
                Column("output_tokens", pa.int64(), "tokens received", unit="{token}"),
                Column("latency_seconds", pa.float64(), "duration of the call", unit="s"),
                Column("error_type", pa.string(), "error.type, empty on success"),
                Column("cost_usd", pa.float64(), "cost as computed by the caller", unit="{USD}"),
                Column("attributes", _TEXT_MAP, "the rest"),
                Column("hash", pa.string(), "content hash or the client's idempotency key", nullable=False),
            ),
            ("hash",), "time", "finance", "internal", 730,
        ),
        Kind(
            "costs",
            "Cost lines (FOCUS).",
            (
                Column("charge_period_start", TIME, "ChargePeriodStart", nullable=False),
                Column("charge_period_end", TIME, "ChargePeriodEnd"),
                Column("service_name", pa.string(), "ServiceName"),
                Column("service_category", pa.string(), "ServiceCategory"),
                Column("charge_category", pa.string(), "ChargeCategory"),
                Column("billed_cost", pa.float64(), "BilledCost", unit="BillingCurrency"),
                Column("effective_cost", pa.float64(), "EffectiveCost", unit="BillingCurrency"),
                Column("billing_currency", pa.string(), "BillingCurrency (ISO 4217)"),
                Column("tags", _TEXT_MAP, "Tags"),
                Column("focus", _TEXT_MAP, "all other FOCUS columns, by their name"),
                Column("hash", pa.string(), "content hash or the client's idempotency key", nullable=False),
            ),
            ("hash",), "charge_period_start", "finance", "internal", 730,
        ),
        Kind(
            "alerts",
            "Every change of an alert's state.",
            (
                Column("time", TIME, "when the state changed", nullable=False),
                Column("fingerprint", pa.string(), "hash of the alert's labels", nullable=False),
                Column("alertname", pa.string(), "rule that raised it"),
                Column("state", pa.string(), "pending, firing, resolved", nullable=False),
                Column("severity", pa.string(), "its severity label"),
                Column("value", pa.float64(), "value of the expression at that time"),
                Column("labels", _TEXT_MAP, "labels of the alert"),
                Column("annotations", _TEXT_MAP, "annotations, templates filled in"),
            ),
            ("fingerprint", "time", "state"), "time", "operations", "internal", 730,
        ),
        Kind(
            "audit",
            "Who did what to the workbench itself.",
            (
                Column("id", pa.string(), "unique id of the entry", nullable=False),
                Column("time", TIME, "when", nullable=False),
                Column("actor", pa.string(), "user or token"),
                Column("action", pa.string(), "what was done"),
                Column("target", pa.string(), "to what"),
                Column("detail", pa.string(), "JSON"),
            ),
            ("id",), "time", "security", "personal", 730,
        ),
        Kind(
            "dead_letter",
            "Input that was refused, and why.",
            (
                Column("id", pa.string(), "unique id of the entry", nullable=False),
                Column("time", TIME, "when it was refused", nullable=False),
                Column("door", pa.string(), "otlp, remote_write, events, import"),
                Column("source", pa.string(), "who sent it"),
                Column("where", pa.string(), "file and line, field or series"),
                Column("reason", pa.string(), "stable name of the reason, e.g. too_old; later replayed, discarded"),
                Column("message", pa.string(), "what was wrong, in words"),
                Column("payload", pa.string(), "refused pieces as JSON lines (4,096 characters), or a beginning"),
                Column("count", pa.int64(), "how many rows of the same reason this entry stands for"),
            ),
            ("id",), "time", "platform", "internal", 90,
        ),
    )
}  # fmt: skip
"""All kinds of tables, by name. The lake has one table for each."""

ROLLUP_US = {"rollup_1m": 60_000_000, "rollup_1h": 3_600_000_000, "rollup_1d": 86_400_000_000}
"""Width of the buckets of each roll-up, in microseconds, the finest first."""

SKETCH_ERROR = 0.01
"""Relative error of a value that a roll-up's sketch answers with."""

_ROLLUP_COLUMNS = (
    Column("series", pa.int64(), "id in `series`", nullable=False),
    Column("time", TIME, "end of the bucket, included; its start is not", nullable=False),
    Column("count", pa.int64(), "float samples, NaN included, staleness markers not", nullable=False),
    Column("sum", pa.float64(), "sum of the samples"),
    Column("min", pa.float64(), "lowest sample; NaN only where there is nothing else"),
    Column("max", pa.float64(), "highest sample; NaN only where there is nothing else"),
    Column("first_time", TIME, "when the first sample was measured"),
    Column("first", pa.float64(), "the first sample"),
    Column("last_time", TIME, "when the last sample was measured"),
    Column("last", pa.float64(), "the last sample"),
    Column("lost_to_resets", pa.float64(), "sum of the samples before each fall; increase = last - first + this"),
    Column("resets", pa.int64(), "how often a sample was lower than the one before it in the bucket"),
    Column("changes", pa.int64(), "how often a sample was not the one before it in the bucket"),
    Column("stale_time", TIME, "time of the staleness marker that ended the series after the last sample"),
    Column("sketch_codes", pa.list_(pa.int32()), "bins of the quantile sketch, ascending; null by minute"),
    Column("sketch_counts", pa.list_(pa.int64()), "samples in each bin; NaN is in none; null by minute"),
)

ROLLUPS: dict[str, Kind] = {
    name: Kind(name, meaning, _ROLLUP_COLUMNS, ("series", "time"), "time", "platform", "internal", days)
    for name, meaning, days in (
        ("rollup_1m", "Samples by minute: a row for each series and minute that has any.", 90),
        ("rollup_1h", "Samples by hour.", 730),
        ("rollup_1d", "Samples by day (UTC).", None),
    )
}
"""Tables that the keeper derives from `samples`: nobody writes to them, so no seal has to touch them."""

TABLES = KINDS | ROLLUPS
"""All tables of the lake."""
