"""The two origins for people, and how one finds the other: the pages' and the notebooks'."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.serve.headers import local_hosts


@dataclass(frozen=True)
class Origins:
    """Ports as browsers see them, the exact `Host` values of each origin, and whether they come over TLS."""

    main_port: int
    notebook_port: int
    main_hosts: frozenset[str]
    notebook_hosts: frozenset[str]
    secure: bool = False

    def main_of(self, host: str) -> str:
        """The main origin for somebody who addressed `host`."""
        return self._sibling(host, self.main_port)

    def notebook_of(self, host: str) -> str:
        """The notebook origin for somebody who addressed `host`: `localhost:8765` -> `http://localhost:8766`."""
        return self._sibling(host, self.notebook_port)

    @property
    def main_sources(self) -> str:
        """The main origins, as a content security policy names them."""
        return self._sources(self.main_hosts)

    @property
    def notebook_sources(self) -> str:
        """The notebook origins, as a content security policy names them."""
        return self._sources(self.notebook_hosts)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.secure else "http"

    def _sibling(self, host: str, port: int) -> str:
        name = host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]
        return f"{self.scheme}://{name}:{port}"

    def _sources(self, hosts: frozenset[str]) -> str:
        # The grammar of a policy knows no addresses in brackets.
        return " ".join(f"{self.scheme}://{host}" for host in sorted(hosts) if "[" not in host)


def local_origins(main_port: int, notebook_port: int) -> Origins:
    """Both origins on loopback."""
    return Origins(main_port, notebook_port, local_hosts(main_port), local_hosts(notebook_port))
