"""One question to a target: its exposition as it came, bounded in bytes and time."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import InputError, TooLarge
from workbench.ingest.scrape.access import credentials
from workbench.ingest.scrape.settings import PROTOCOLS, Job
from workbench.ingest.scrape.targets import Target

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 64 * 2**20
"""Of a target without a body_size_limit; a body is held in memory whole."""

OPENMETRICS, TEXT, PROTOBUF = "openmetrics", "text", "protobuf"
_FORMATS = {
    "application/openmetrics-text": OPENMETRICS,
    "text/plain": TEXT,
    "application/vnd.google.protobuf": PROTOBUF,
}
_PROTOCOLS = {"OpenMetricsText": OPENMETRICS, "PrometheusText": TEXT, "PrometheusProto": PROTOBUF}


@dataclass(frozen=True)
class Exposition:
    """A body and the format it is in: `openmetrics`, `text` or `protobuf`."""

    body: bytes
    format: str


def accept(job: Job) -> str:
    """The `Accept` header: the protocols in the order of the file, any other form last."""
    weights = [f"{PROTOCOLS[name]};escaping=allow-utf-8;q=0.{9 - at}" for at, name in enumerate(job.protocols)]
    return ",".join([*weights, "*/*;q=0.1"])


async def fetch(client: httpx.AsyncClient, target: Target, job: Job) -> Exposition:
    """Ask a target. Raises InputError (TooLarge) for an answer that is none, ConfigError for an unreadable secret."""
    import httpx

    headers = {
        **credentials(job.access),
        "accept": accept(job),
        "accept-encoding": "gzip" if job.compression else "identity",
        "user-agent": "workbench-scrape",
        "x-prometheus-scrape-timeout-seconds": f"{target.timeout_seconds:g}",
    }
    extensions = {"sni_hostname": job.access.server_name} if job.access.server_name else {}
    bound = job.limits.body_bytes or MAX_BODY_BYTES
    try:
        async with client.stream("GET", target.url, headers=headers, extensions=extensions) as answer:
            if answer.status_code != 200:
                status = f"{answer.status_code} {answer.reason_phrase}".strip()
                raise InputError(f"server returned HTTP status {status}")
            format_ = _chosen(answer.headers.get("content-type", ""), job)
            parts, size = [], 0
            async for part in answer.aiter_bytes():
                size += len(part)
                if size > bound:
                    raise TooLarge(f"body size limit exceeded: over {bound} bytes")
                parts.append(part)
    except httpx.TimeoutException as error:
        raise InputError(f"no answer within {target.timeout_seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise InputError(f"{str(error) or type(error).__name__}") from error
    return Exposition(b"".join(parts), format_)


def _chosen(content_type: str, job: Job) -> str:
    media = content_type.partition(";")[0].strip().lower()
    found = _FORMATS.get(media) or _format(job.fallback_protocol)
    if not found:
        said = f"unsupported Content-Type {content_type[:80]!r}" if media else "no Content-Type"
        raise InputError(f"the answer has {said}, and the job no fallback_scrape_protocol")
    return found


def _format(protocol: str) -> str:
    return next((format_ for name, format_ in _PROTOCOLS.items() if protocol.startswith(name)), "")
