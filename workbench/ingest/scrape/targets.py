"""From target groups to targets: labels of discovery, relabelling, the address that is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from workbench.errors import InputError
from workbench.ingest.scrape.relabel import relabel
from workbench.ingest.scrape.settings import Group, Job
from workbench.query import duration_us

PARAMETER = "__param_"


@dataclass(frozen=True)
class Target:
    """What one loop scrapes: `labels` are those of its series, `discovered` what they were before relabelling.

    Two targets with the same job, labels and address are one and the same.
    """

    job: str
    labels: tuple[tuple[str, str], ...]
    url: str
    interval_seconds: float
    timeout_seconds: float
    discovered: tuple[tuple[str, str], ...]

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...], str]:
        """What makes it the same target after a change of the file."""
        return self.job, self.labels, self.url


@dataclass(frozen=True)
class Found:
    """The targets of a job, those that relabelling dropped (by discovered labels), and what was wrong with others."""

    targets: tuple[Target, ...]
    dropped: tuple[dict[str, str], ...]
    faults: tuple[str, ...]


def find_targets(job: Job, groups: Iterable[Group]) -> Found:
    """The targets of some groups, each once."""
    targets: dict[object, Target] = {}
    dropped: list[dict[str, str]] = []
    faults: list[str] = []
    for group in groups:
        for address in group.addresses:
            discovered = _discovered(job, group, address)
            labels = relabel(discovered, job.relabel)
            if labels is None:
                dropped.append(discovered)
                continue
            try:
                target = _target(job, labels, discovered)
            except InputError as error:
                faults.append(f"{group.source}: {address}: {error.message}")
                continue
            targets.setdefault(target.key, target)
    return Found(tuple(targets.values()), tuple(dropped), tuple(faults))


def _discovered(job: Job, group: Group, address: str) -> dict[str, str]:
    """Labels before relabelling. What a group says of its targets goes before what the job says of all."""
    ours = {
        "job": job.name,
        "__scrape_interval__": duration_text(job.interval_seconds),
        "__scrape_timeout__": duration_text(job.timeout_seconds),
        "__metrics_path__": job.metrics_path,
        "__scheme__": job.scheme,
        **{PARAMETER + name: values[0] for name, values in job.params if values},
    }
    theirs = {name: value for name, value in group.labels if value}
    return {**ours, **theirs, "__address__": address}


def _target(job: Job, labels: dict[str, str], discovered: dict[str, str]) -> Target:
    """Raises InputError where the labels do not name something to ask."""
    address = labels.get("__address__", "")
    scheme = labels.get("__scheme__", "http")
    if not address:
        raise InputError("relabelling left no __address__")
    if "/" in address or scheme not in ("http", "https"):
        raise InputError(f"{scheme}://{address} is not an address")
    interval = duration_us(labels.get("__scrape_interval__", ""), name="__scrape_interval__") / 1e6
    timeout = duration_us(labels.get("__scrape_timeout__", ""), name="__scrape_timeout__") / 1e6
    if not 0 < timeout <= interval:
        raise InputError(f"its timeout of {timeout:g} s does not fit its interval of {interval:g} s")
    shown = {name: value for name, value in labels.items() if not name.startswith("__")}
    shown.setdefault("instance", address)
    return Target(
        job.name,
        tuple(sorted(shown.items())),
        _url(job, labels, f"{scheme}://{address}"),
        interval,
        timeout,
        tuple(sorted(discovered.items())),
    )


def _url(job: Job, labels: dict[str, str], origin: str) -> str:
    """The address with path and parameters; a label `__param_x` stands for the first value of `x`."""
    parameters = {name: list(values) for name, values in job.params}
    for name, value in labels.items():
        if name.startswith(PARAMETER):
            parameters.setdefault(name.removeprefix(PARAMETER), [""])[:1] = [value]
    query = urlencode(sorted((name, value) for name, values in parameters.items() for value in values))
    path = labels.get("__metrics_path__", "/metrics")
    return origin + ("" if path.startswith("/") else "/") + path + (f"?{query}" if query else "")


def duration_text(seconds: float) -> str:
    """A duration as Prometheus writes it."""
    ms = round(seconds * 1000)
    text = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, ms = divmod(ms, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
