"""The listening sockets of the workbench, bound by the supervisor and handed to its children.

The supervisor listens itself, so while a killed child starts again its callers wait in the queue and are not refused. A
default port that is taken gives way to a free one, with a notice; one that was asked for and is taken is PortTaken.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from workbench.config import Settings
from workbench.errors import ConfigError, PortTaken
from workbench.serve.access.reach import check, outer_hosts
from workbench.serve.process import port_numbers

SETTING = {"main": "front.port", "notebook": "front.notebook_port", "ingest": "ingest.port", "grpc": "ingest.grpc_port"}
FLAG = {"main": "--port", "notebook": "--notebook-port", "ingest": "--ingest-port", "grpc": "--grpc-port"}
LOOPBACK = "127.0.0.1"
BACKLOG = 1024

Host = tuple[int, str]


@dataclass(frozen=True)
class Ports:
    """`numbers` and `sockets` by name (gRPC has no socket: the hub binds it), and a notice for each port that moved."""

    numbers: Mapping[str, int]
    sockets: Mapping[str, list[socket.socket]]
    notices: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Stop listening here; children that hold the sockets go on."""
        for listening in self.sockets.values():
            for one in listening:
                one.close()


def asked_ports(settings: Settings, flags: Collection[str]) -> set[str]:
    """The names of the ports that somebody asked for: by flag, or by a setting that is not the default."""
    numbers, defaults = port_numbers(settings), port_numbers(Settings())
    return {name for name in numbers if SETTING[name] in flags or numbers[name] != defaults[name]}


def open_ports(settings: Settings, flags: Collection[str]) -> Ports:
    """Bind the ports of `settings`; `flags` are the settings that stood on the command line.

    With the ingest port given as a flag, ports that nobody asked for take any free one. Raises PortTaken, and
    ConfigError where `front.bind` is no address of this machine or reaches further than is safe.
    """
    check(settings)
    outer = outer_hosts(settings.front.bind)
    asked = asked_ports(settings, flags)
    numbers: dict[str, int] = {}
    sockets: dict[str, list[socket.socket]] = {}
    opened = Ports(numbers, sockets)
    try:
        for name, wanted in port_numbers(settings).items():
            anywhere = name not in asked and SETTING["ingest"] in flags
            port = 0 if anywhere else wanted
            taken = "the workbench itself" if port and port in numbers.values() else taken_by(port, outer)
            if taken and name in asked:
                raise PortTaken(
                    f"port {port} is taken by {taken}",
                    where=f"{FLAG[name]} {port}",
                    hint="Choose another, or 0 for any.",
                )
            if taken:
                port = 0
            listening = _bind(port, outer, avoid=set(numbers.values()))
            numbers[name] = listening[0].getsockname()[1]
            if taken:
                opened.notices.append(f"{name} port {wanted} is taken by {taken}; using {numbers[name]}")
            if name == "grpc":
                for one in listening:
                    one.close()
            else:
                sockets[name] = listening
                for one in listening:
                    one.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def holder(port: int) -> str:
    """Who listens on a TCP port of this machine, for people: `python3 (pid 4711)`."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "a program of another user"


def taken_by(port: int, outer: Sequence[Host] = ()) -> str:
    """Who holds `port` already at one of our addresses, or the empty string. Raises ConfigError."""
    if port == 0:
        return ""
    try:
        for one in _bind(port, outer, avoid=(), shared=False):
            one.close()
    except OSError as error:
        if error.errno == errno.EACCES:
            return "the system: ports below 1024 are root's"
        return holder(port)
    return ""


def _bind(port: int, outer: Sequence[Host], *, avoid: Collection[int], shared: bool = True) -> list[socket.socket]:
    """Sockets on 127.0.0.1, ::1 (where the system has it) and `outer`, with one port number on all. Raises OSError.

    Every address of the machine and one of it can be listened on side by side only where both sockets are `shared`
    (SO_REUSEPORT, which the system grants to programs of one user); whether a port is free is asked without.
    """
    every = any(host in ("0.0.0.0", "::") for _, host in outer)
    for _ in range(50):
        made = [_socket(socket.AF_INET, LOOPBACK, port, shared=shared and every)]
        number = made[0].getsockname()[1]
        try:
            if number in avoid and port == 0:
                raise OSError(errno.EADDRINUSE, "ours already")
            made += _others(number, outer, shared=shared and every)
        except OSError:
            for one in made:
                one.close()
            if port:
                raise
        except ConfigError:
            made[0].close()
            raise
        else:
            return made
    raise OSError(errno.EADDRINUSE, "no port is free on 127.0.0.1 and ::1 alike")


def _others(port: int, outer: Sequence[Host], *, shared: bool) -> list[socket.socket]:
    made: list[socket.socket] = []
    try:
        for family, host in ((socket.AF_INET6, "::1"), *outer):
            try:
                made.append(_socket(family, host, port, shared=shared))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                if host != "::1":
                    raise ConfigError(
                        f"{host} is no address of this machine", where="front.bind", hint="`ip address` lists them."
                    ) from error
    except BaseException:
        for one in made:
            one.close()
        raise
    return made


def _socket(family: int, host: str, port: int, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # A port whose last connections are still being forgotten is free; one that is listened on is not.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
