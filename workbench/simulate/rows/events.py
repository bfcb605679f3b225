"""A cell's events on their way to be rows of `events` or CloudEvents in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from workbench.schema import KINDS
from workbench.simulate.metric import HOSTS, Pairs

RECEIVED_AFTER_US = 900_000
SKEW_US = 60_000_000
"""For each hour that a clock runs away (signal `skew:<host>`) it is a minute ahead."""
ENVIRONMENT = ("environment", "simulated")
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8)


@dataclass
class Events:
    """Events of one cell, in columns that are filled side by side. `time_us` is true time; clocks may differ."""

    source: list[str] = field(default_factory=list)
    type: list[str] = field(default_factory=list)
    time_us: list[int] = field(default_factory=list)
    subject: list[str | None] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    extensions: list[Pairs] = field(default_factory=list)

    def add(
        self,
        name: str,
        service: str,
        time_us: int,
        subject: str | None,
        data: Mapping[str, Any],
        *extensions: tuple[str, str],
    ) -> None:
        """One event `ai.synth.<name>.v1` of a component. Extensions must be sorted by name."""
        self.source.append(f"/synth/{service}/{service}-1")
        self.type.append(f"ai.synth.{name}.v1")
        self.time_us.append(int(time_us))
        self.subject.append(subject)
        self.data.append(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY).decode())
        self.extensions.append(extensions)

    def __len__(self) -> int:
        return len(self.type)


def ids(times_us: np.ndarray, random: np.random.Generator) -> list[str]:
    """ULIDs: 48 bits of time in milliseconds and 80 of chance, in 26 characters of Crockford's base 32."""
    milliseconds = (times_us // 1000).astype(np.uint64)
    high, low = random.integers(0, 2**40, (2, len(times_us)), dtype=np.uint64)
    digits = [(milliseconds >> np.uint64(5 * place)) & np.uint64(31) for place in range(9, -1, -1)]
    for half in (high, low):
        digits += [(half >> np.uint64(5 * place)) & np.uint64(31) for place in range(7, -1, -1)]
    letters = _ALPHABET[np.stack(digits, axis=1).astype(np.int64)]
    return [row.tobytes().decode() for row in letters]


def event_table(events: Events, names: list[str], skewed: Mapping[str, np.ndarray]) -> pa.Table:
    """As a table of `events`, in order of true time. `skewed` are the signals `skew:<host>` at each event's time."""
    times_us = np.array(events.time_us, np.int64)
    shown_us = times_us.copy()
    for host in {*HOSTS.values()}:
        if f"skew:{host}" in skewed:
            mine = np.array([HOSTS.get(source.split("/")[2]) == host for source in events.source])
            shown_us += (mine * skewed[f"skew:{host}"] * SKEW_US).astype(np.int64)
    schema, count = KINDS["events"].schema, len(events)
    columns: dict[str, Any] = {
        "source": events.source,
        "id": names,
        "type": events.type,
        "time": pa.array(shown_us, schema.field("time").type),
        "subject": events.subject,
        "datacontenttype": ["application/json"] * count,
        "dataschema": pa.nulls(count, pa.string()),
        "data": events.data,
        "extensions": [sorted((ENVIRONMENT, *pairs)) for pairs in events.extensions],
        "received": pa.array(times_us + RECEIVED_AFTER_US, schema.field("received").type),
    }
    table = pa.table({one.name: pa.array(columns[one.name], one.type) for one in schema}, schema=schema)
    return table.take(pa.array(np.argsort(times_us, kind="stable")))


def cloud_events(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows of `events` as a batch in JSON, as the door takes it."""
    found = []
    for row in rows:
        event = {"specversion": "1.0", **{name: row[name] for name in ("id", "source", "type", "datacontenttype")}}
        event["time"] = row["time"].isoformat().replace("+00:00", "Z")
        if row["subject"] is not None:
            event["subject"] = row["subject"]
        found.append({**event, **dict(row["extensions"]), "data": orjson.Fragment(row["data"])})
    return orjson.dumps(found)
