"""Where notifications go: webhooks in Alertmanager's format, and everything that Apprise reaches (mail, chat, pagers).

Webhook format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, version "4".
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from workbench.errors import DeliveryError

TIMEOUT_SECONDS = 10.0
ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: what Alertmanager sends as the end of an alert that has not ended."""

SUBJECT_CHARACTERS = 200
LABEL_CHARACTERS = 500
"""What of a label a message shows; a label may be a megabyte."""
ANNOTATION_CHARACTERS = 2000
TOLD_IN_FULL = 20
"""How many alerts a message to people describes; it counts the others."""

Payload = Mapping[str, Any]


def deliver(url: str, payloads: Sequence[Payload], *, external_url: str = "") -> None:
    """Send notifications that are all firing or all resolved as one message. Raises DeliveryError."""
    if url.startswith(("http://", "https://")):
        _post(url, webhook_body(payloads, external_url))
    else:
        _apprise(url, subject(payloads), text_body(payloads, external_url))


def warm(url: str) -> None:
    """Load what `deliver` needs, up to a second's work, so that the first alert does not wait for it."""
    if url.startswith(("http://", "https://")):
        import httpx

        httpx.Client(verify=url.startswith("https://")).close()  # loads what the import leaves for later
    else:
        import apprise  # noqa: F401


def channel_name(url: str) -> str:
    """A channel for people and logs, never its secrets: where the host is one (mail, webhooks) it, else a digest."""
    scheme = url.partition(":")[0]
    if scheme in ("http", "https", "mailto", "mailtos"):
        try:
            return f"{scheme}://{urlsplit(url).hostname or ''}"
        except ValueError:
            pass
    # In Apprise's addresses of chats and pagers the token stands in the place of the host.
    return f"{scheme}://…{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def webhook_body(payloads: Sequence[Payload], external_url: str) -> dict[str, Any]:
    """Alertmanager's webhook document."""
    status = "firing" if payloads[0]["state"] == "firing" else "resolved"
    common = _common([payload["labels"] for payload in payloads])
    group = {name: text for name, text in common.items() if name == "alertname"}
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f"{name}={json.dumps(text)}" for name, text in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "webhook",
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": _common([payload["annotations"] for payload in payloads]),
        "externalURL": external_url,
        "alerts": [
            {
                "status": status,
                "labels": payload["labels"],
                "annotations": payload["annotations"],
                "startsAt": iso(payload["fired_us"]),
                "endsAt": iso(payload["time_us"]) if status == "resolved" else ZERO_TIME,
                "generatorURL": external_url,
                "fingerprint": payload["fingerprint"],
            }
            for payload in payloads
        ],
    }


def subject(payloads: Sequence[Payload]) -> str:
    """The subject of a mail: one line, whatever labels hold."""
    first = payloads[0]
    state = "RESOLVED" if first["state"] == "resolved" else first["labels"].get("severity", "alert").upper()
    more = f" and {len(payloads) - 1} more" if len(payloads) > 1 else ""
    return _line(f"[{state}] {first['labels']['alertname']}", SUBJECT_CHARACTERS) + more


def text_body(payloads: Sequence[Payload], external_url: str) -> str:
    """The body of a mail: plain text, which Apprise escapes where a channel takes HTML."""
    parts = []
    for payload in payloads[:TOLD_IN_FULL]:
        labels, annotations = payload["labels"], payload["annotations"]
        lines = [f"{_line(labels['alertname'])} is {payload['state']}."]
        annotations = {key: text[:ANNOTATION_CHARACTERS] for key, text in annotations.items()}
        lines += [annotations[key] for key in ("summary", "description") if annotations.get(key)]
        lines.append(
            f"Since {iso(payload['fired_us'])}"
            + (f", over at {iso(payload['time_us'])}" if payload["state"] == "resolved" else "")
        )
        if payload["value"] is not None:
            lines.append(f"Value: {payload['value']:.6g}")
        lines += [f"- {name}: {_line(text)}" for name, text in sorted(labels.items()) if name != "alertname"]
        lines += [f"{key}: {text}" for key, text in annotations.items() if key not in ("summary", "description")]
        parts.append("\n\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:]))
    if len(payloads) > TOLD_IN_FULL:
        parts.append(f"And {len(payloads) - TOLD_IN_FULL} more.")
    if external_url:
        parts.append(external_url)
    return "\n\n".join(parts)


def iso(time_us: int | None) -> str:
    """A time as RFC 3339 has it."""
    return datetime.fromtimestamp((time_us or 0) / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(text: str, most: int = LABEL_CHARACTERS) -> str:
    """A text as a part of one line: no line break or control character of a label may look like ours."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 2 * most]).split())
    return plain if len(plain) <= most and len(text) <= 2 * most else plain[: most - 1] + "…"


def _common(pairs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {key: text for key, text in pairs[0].items() if all(other.get(key) == text for other in pairs)}


def _post(url: str, body: Mapping[str, Any]) -> None:
    import httpx

    try:
        # Our own loopback never goes through a proxy, whatever the environment says.
        # Certificates take 15 ms to load, and plain http needs none.
        certificates = url.startswith("https://")
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=not _is_loopback(url), verify=certificates) as client:
            answer = client.post(url, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(str(error) or type(error).__name__, retry=True, where=channel_name(url)) from error
    if answer.status_code >= 300:
        raise DeliveryError(f"answered {answer.status_code}", retry=True, where=channel_name(url))


def _apprise(url: str, title: str, body: str) -> None:
    import apprise

    sender = apprise.Apprise()
    if not sender.add(url):
        raise DeliveryError(
            "Apprise does not understand this address", retry=False, where=channel_name(url), hint="See alert.notify."
        )
    with apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s") as said:
        accepted = sender.notify(body, title=title, body_format=apprise.NotifyFormat.TEXT)
        reasons = said.getvalue().strip() if said else ""
    if not accepted:
        raise DeliveryError(reasons.replace("\n", "; ") or "not accepted", retry=True, where=channel_name(url))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
