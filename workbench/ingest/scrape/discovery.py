"""Where targets are found beside the scrape file: files that others write (`file_sd`) and addresses (`http_sd`)."""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import Any

from workbench.errors import ConfigError, InputError
from workbench.ingest.scrape.access import credentials, http_client
from workbench.ingest.scrape.blocks import Fault, read_roots
from workbench.ingest.scrape.settings import FileDiscovery, Group, HttpDiscovery

MAX_ANSWER_BYTES = 64 * 2**20
HTTP_TIMEOUT_SECONDS = 30.0


class FileGroups:
    """The target groups of some files. A file that cannot be read keeps what it said last."""

    def __init__(self, discovery: FileDiscovery) -> None:
        self._discovery = discovery
        self._known: dict[Path, tuple[tuple[int, int], list[Group]]] = {}
        self.faults: list[str] = []

    def look(self) -> list[Group]:
        """What the files say now; only those that changed are read again."""
        paths = {Path(name) for pattern in self._discovery.patterns for name in glob.glob(pattern)}
        self._known = {path: known for path, known in self._known.items() if path in paths}
        self.faults = []
        for path in sorted(paths):
            try:
                stat = path.stat()
            except OSError:
                continue
            stamp = (stat.st_mtime_ns, stat.st_size)
            before = self._known.get(path)
            if before is None or before[0] != stamp:
                faults: list[Fault] = []
                groups = read_groups(path, faults)
                if faults:
                    self.faults += map(str, faults)
                    continue
                self._known[path] = (stamp, groups)
        return [group for _, groups in self._known.values() for group in groups]


def read_groups(path: Path, faults: list[Fault]) -> list[Group]:
    """The target groups of a file."""
    found = []
    for number, block in enumerate(read_roots(path, faults)):
        labels = (*block.mapping("labels").items(), ("__meta_filepath", str(path)))
        found.append(Group(f"{path}:{number}", block.texts("targets"), labels))
        block.end()
    return found


async def ask_groups(discovery: HttpDiscovery) -> list[Group]:
    """The target groups at an address. Raises InputError, ConfigError, or what the client raises."""
    headers = {
        **credentials(discovery.access),
        "accept": "application/json",
        "x-prometheus-refresh-interval-seconds": f"{discovery.refresh_seconds:g}",
    }
    async with http_client(discovery.access, HTTP_TIMEOUT_SECONDS) as client:
        answer = await client.get(discovery.url, headers=headers)
    if answer.status_code != 200:
        raise InputError(f"server returned HTTP status {answer.status_code}", where=discovery.url)
    if len(answer.content) > MAX_ANSWER_BYTES:
        raise InputError(f"over {MAX_ANSWER_BYTES} bytes", where=discovery.url)
    if answer.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InputError("the answer is not application/json", where=discovery.url)
    try:
        document = json.loads(answer.content)
        return [_group(discovery.url, number, one) for number, one in enumerate(document)]
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"not a list of target groups: {error}", where=discovery.url) from error


def _group(url: str, number: int, document: Any) -> Group:
    labels = {str(name): str(value) for name, value in (document.get("labels") or {}).items()}
    return Group(
        f"{url}:{number}", tuple(map(str, document.get("targets") or ())), (*labels.items(), ("__meta_url", url))
    )


DISCOVERY_ERRORS = (InputError, ConfigError, OSError)
"""What a look at files or an address may raise beside the HTTP client's own errors."""
