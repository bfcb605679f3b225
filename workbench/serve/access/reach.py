"""How far the workbench is reached: which addresses are bound, under which names, and whether that is safe.

On loopback alone nothing has to be set. Beyond it, people and programs come over TLS, ours or that of a proxy that is
trusted to speak it; `check` refuses everything else before a port is bound.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from workbench.config import Settings
from workbench.errors import ConfigError
from workbench.serve.access.origins import Origins, is_local, local_hosts, local_origins

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TLS_HINT = "Give --tls-cert and --tls-key, or put a proxy that speaks TLS before it and give --trusted-proxy."


def check(settings: Settings) -> None:
    """Raises ConfigError for settings under which passwords, tokens or data would be open to others, or that clash."""
    front = settings.front
    _address(front.bind)
    trusted_proxies(settings)
    if bool(front.tls_cert) != bool(front.tls_key):
        raise ConfigError("a certificate needs its key, and a key its certificate", where="front.tls_cert")
    if front.tls_cert:
        server_context(settings)
    if beyond_loopback(settings) and not front.tls_cert and not front.trusted_proxy:
        raise ConfigError(
            f"{front.bind} reaches beyond this machine without TLS: passwords and tokens could be read",
            where="front.bind",
            hint=TLS_HINT,
        )
    for name in ("public_url", "notebook_url"):
        if getattr(front, name):
            _check_url(f"front.{name}", getattr(front, name), secured=bool(front.tls_cert or front.trusted_proxy))
    if settings.ingest.public_url:
        _check_url("ingest.public_url", settings.ingest.public_url, secured=bool(front.tls_cert or front.trusted_proxy))
    _check_names(settings)


def _check_names(settings: Settings) -> None:
    front = settings.front
    if front.notebook_url and not front.public_url:
        raise ConfigError("a notebook URL needs a public URL beside it", where="front.notebook_url")
    if front.public_url and front.public_url.rstrip("/") == front.notebook_url.rstrip("/"):
        raise ConfigError(
            "notebooks need an origin of their own, or a script in one could act as its reader",
            where="front.notebook_url",
            hint="Another host name or another port.",
        )
    if not front.public_url and _address(front.bind).is_unspecified:
        raise ConfigError(
            f"{front.bind} is every address of this machine; which name do people use?",
            where="front.public_url",
            hint="Give --public-url https://NAME:PORT.",
        )
    if front.trusted_proxy and not front.tls_cert and not (front.public_url and front.notebook_url):
        raise ConfigError(
            "behind a proxy both addresses that people use must be known",
            where="front.public_url",
            hint="Give --public-url and --notebook-url, two origins that the proxy hands to the two ports.",
        )


def _check_url(where: str, url: str, *, secured: bool) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ConfigError(f"{url!r} is no origin", where=where, hint="Write it as https://NAME or https://NAME:PORT.")
    if parts.scheme == "http" and not is_local(url):
        raise ConfigError(f"{url} would be reached without TLS", where=where, hint=f"Begin it with https. {TLS_HINT}")
    if parts.scheme == "https" and not secured:
        raise ConfigError(f"nothing speaks TLS at {url}", where=where, hint=TLS_HINT)


def beyond_loopback(settings: Settings) -> bool:
    """Whether a port is bound at an address that other machines reach."""
    return not _address(settings.front.bind).is_loopback


def outer_hosts(bind: str) -> list[tuple[socket.AddressFamily, str]]:
    """What is bound beside 127.0.0.1 and ::1: (family, host); `::` means every address of both families."""
    address = _address(bind)
    if str(address) in ("127.0.0.1", "::1"):
        return []
    if address.version == 6:
        every = [(socket.AF_INET, "0.0.0.0")] if address.is_unspecified else []
        return [*every, (socket.AF_INET6, str(address))]
    return [(socket.AF_INET, str(address))]


def people_origins(settings: Settings, main_port: int, notebook_port: int) -> Origins:
    """Both origins for people under all names that are ours, the public one first."""
    front = settings.front
    local = local_origins(main_port, notebook_port, scheme="https" if front.tls_cert else "http")
    public = _public(settings, main_port, notebook_port)
    if public is None or public[0] in local.main:
        return local
    return Origins(main_port, notebook_port, (public[0], *local.main), (public[1], *local.notebook))


def _public(settings: Settings, main_port: int, notebook_port: int) -> tuple[str, str] | None:
    front = settings.front
    if front.public_url:
        main = _origin(front.public_url)
        parts = urlsplit(main)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return main, _origin(front.notebook_url or f"{parts.scheme}://{name}:{notebook_port}")
    if not outer_hosts(front.bind):
        return None
    base = f"{'https' if front.tls_cert else 'http'}://{_bracketed(front.bind)}"
    return f"{base}:{main_port}", f"{base}:{notebook_port}"


def ingest_hosts(settings: Settings, port: int) -> frozenset[str]:
    """The exact `Host` values of a door for machines."""
    found = set(local_hosts(port))
    if outer_hosts(settings.front.bind) and not _address(settings.front.bind).is_unspecified:
        found.add(f"{_bracketed(settings.front.bind)}:{port}")
    if settings.front.public_url:
        name = urlsplit(settings.front.public_url).hostname or ""
        found.add(f"{_bracketed(name)}:{port}")
    if settings.ingest.public_url:
        found.add(urlsplit(_origin(settings.ingest.public_url)).netloc)
    return frozenset(found)


def ingest_url(settings: Settings, port: int) -> str | None:
    """Where programs on other machines send to; None where they cannot."""
    if settings.ingest.public_url:
        return _origin(settings.ingest.public_url)
    if not beyond_loopback(settings) or not settings.front.tls_cert:
        return None
    name = urlsplit(settings.front.public_url).hostname if settings.front.public_url else settings.front.bind
    return f"https://{_bracketed(name or '')}:{port}"


def trusted_proxies(settings: Settings) -> tuple[Network, ...]:
    """The networks whose proxies speak TLS for us. Raises ConfigError."""
    try:
        return tuple(ipaddress.ip_network(text) for text in settings.front.trusted_proxy)
    except ValueError as error:
        hint = "Write it as 10.0.0.5 or 10.0.0.0/24."
        raise ConfigError(f"that is no network: {error}", where="front.trusted_proxy", hint=hint) from error


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine to itself; a name is not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_within(host: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address belongs to one of the networks; one of IPv4 mapped into IPv6 is the former."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


def certificate_files(settings: Settings) -> tuple[Path, Path]:
    """Certificate (with its chain) and key, PEM."""
    return Path(settings.front.tls_cert), Path(settings.front.tls_key)


def server_context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 and newer with our certificate. Raises ConfigError for files that are missing or do not match."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(*certificate_files(settings))
    except (OSError, ssl.SSLError) as error:
        where = f"{settings.front.tls_cert}, {settings.front.tls_key}"
        hint = "Both are PEM files, the key without a pass phrase."
        raise ConfigError(f"certificate and key cannot be used: {error}", where=where, hint=hint) from error
    return made


def addresses(settings: Settings, numbers: Mapping[str, int]) -> dict[str, str | None]:
    """The addresses to tell people, by their names in `status`, of the port numbers by name."""
    origins = people_origins(settings, numbers["main"], numbers["notebook"])
    local = "http://127.0.0.1"
    return {
        "url": origins.main[0],
        "notebook_url": origins.notebook[0],
        # Senders on this machine need neither a certificate nor a name.
        "ingest_url": f"{local}:{numbers['ingest']}",
        "grpc_url": f"{local}:{numbers['grpc']}",
        "public_ingest_url": ingest_url(settings, numbers["ingest"]),
    }


def _origin(url: str) -> str:
    """As a browser writes it: lower case, the usual port left out."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{_bracketed(parts.hostname or '')}{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _address(bind: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if bind == "localhost" else bind)
    except ValueError as error:
        raise ConfigError(
            f"{bind!r} is no address of a network card",
            where="front.bind",
            hint="For every one of them: 0.0.0.0 or ::.",
        ) from error
