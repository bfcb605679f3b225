"""Whose socket is at the other end of a loopback connection, by Linux' `/proc/net/tcp` and `/proc/net/tcp6`.

Format: proc(5) and the kernel's Documentation/networking/proc_net_tcp.rst. Addresses are hexadecimal, each 32-bit word
in the byte order of the machine; the columns used are local and remote address (1, 2), user id (7) and inode (9).
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

Address = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]


@dataclass(frozen=True)
class Owner:
    """The user id that holds a socket; None where nobody holds it any more."""

    uid: int | None


UNKNOWABLE = Owner(-1)
"""The answer on a system that has no such tables."""


def socket_owner(peer: tuple[str, int], port: int) -> Owner:
    """Who holds the socket `peer` that is connected to our `port` on loopback.

    A socket whose holder has closed it stands in the table with inode 0 *and user id 0*: that is nobody, not root.
    """
    wanted = (_plain(ipaddress.ip_address(peer[0])), peer[1])
    suffix = f":{peer[1]:04X}"
    readable = False
    for table in TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        readable = True
        for line in lines:
            columns = line.split()
            if len(columns) < 10 or not columns[1].endswith(suffix) or _address(columns[1]) != wanted:
                continue
            remote = _address(columns[2])
            # Several connections may share a local port as long as their far ends differ.
            if remote[1] == port and remote[0].is_loopback and columns[9] != "0":
                return Owner(int(columns[7]))
    return Owner(None) if readable else UNKNOWABLE


def _address(text: str) -> Address:
    digits, _, port = text.partition(":")
    words = struct.pack(f"={len(digits) // 8}I", *(int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)))
    return _plain(ipaddress.ip_address(words)), int(port, 16)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that an IPv6 socket uses, as the IPv4 address that it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
