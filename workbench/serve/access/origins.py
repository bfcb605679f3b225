"""The two origins for people, the pages' and the notebooks', under all the names by which browsers reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Origins:
    """Both origins by each name: `main[n]` and `notebook[n]` belong together, and what is not there is not ours.

    The ports name the cookies, as browsers do not keep the ports of a host apart.
    """

    main_port: int
    notebook_port: int
    main: tuple[str, ...]
    notebook: tuple[str, ...]

    @cached_property
    def main_hosts(self) -> Mapping[str, str]:
        """The exact `Host` values of the main origin, each with the `Origin` of its own pages."""
        return by_host(self.main)

    @cached_property
    def notebook_hosts(self) -> Mapping[str, str]:
        """The same of the notebook origin."""
        return by_host(self.notebook)

    def main_of(self, host: str) -> str:
        """The main origin for somebody who addressed the notebooks as `host`."""
        return self.main[self.notebook.index(self.notebook_hosts[host.lower()])]

    def notebook_of(self, host: str) -> str:
        """The notebook origin for who addressed the pages as `host`: `localhost:8765` -> `http://localhost:8766`."""
        return self.notebook[self.main.index(self.main_hosts[host.lower()])]

    def shared(self, host: str) -> str:
        """The main origin for a link that somebody else is to open: one beyond this machine where there is one."""
        beyond = [origin for origin in self.main if not is_local(origin)]
        return beyond[0] if beyond else self.main_hosts[host.lower()]

    def secure(self, host: str) -> bool:
        """Whether browsers reach this `Host` over TLS."""
        origin = self.main_hosts.get(host) or self.notebook_hosts.get(host) or ""
        return origin.startswith("https:")

    @property
    def main_sources(self) -> str:
        """The main origins, as a content security policy names them."""
        return _sources(self.main)

    @property
    def notebook_sources(self) -> str:
        """The notebook origins, as a content security policy names them."""
        return _sources(self.notebook)


def is_local(origin: str) -> bool:
    """Whether an origin is one of this machine alone."""
    return (urlsplit(origin).hostname or "") in ("127.0.0.1", "localhost", "::1")


def by_host(origins: tuple[str, ...]) -> Mapping[str, str]:
    """The `Host` that a browser sends to each origin, and the origin."""
    return {urlsplit(origin).netloc: origin for origin in origins}


def local_hosts(port: int) -> frozenset[str]:
    """The values of `Host` under which a port on loopback may be addressed."""
    bare = LOOPBACK_NAMES if port == 80 else ()
    return frozenset({f"{name}:{port}" for name in LOOPBACK_NAMES} | set(bare))


def local_origins(main_port: int, notebook_port: int, *, scheme: str = "http") -> Origins:
    """Both origins on loopback."""
    return Origins(main_port, notebook_port, *(_local(scheme, port) for port in (main_port, notebook_port)))


def _local(scheme: str, port: int) -> tuple[str, ...]:
    shown = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
    return tuple(f"{scheme}://{name}{shown}" for name in LOOPBACK_NAMES)


def _sources(origins: tuple[str, ...]) -> str:
    # The grammar of a policy knows no addresses in brackets.
    return " ".join(sorted(origin for origin in origins if "[" not in origin))
