"""Who a scrape says it is and whom it trusts: the HTTP client settings of a job or of a discovery."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ConfigError
from workbench.ingest.scrape.blocks import Block
from workbench.ingest.scrape.settings import Access

if TYPE_CHECKING:
    import httpx

MAX_SECRET_BYTES = 64 * 2**10


def read_access(block: Block) -> Access:
    """`basic_auth`, `authorization`, `tls_config` and their like of a block."""
    if block.has("oauth2"):
        block.fault("oauth2", "OAuth 2 is not spoken here; have a program write the token to a credentials_file")
    given: dict[str, object] = {
        "follow_redirects": block.flag("follow_redirects", True),
        "proxy_url": block.text("proxy_url"),
    }
    ways = [key for key in ("basic_auth", "authorization", "bearer_token", "bearer_token_file") if block.has(key)]
    if len(ways) > 1:
        block.fault(ways[1], f"one of {' and '.join(ways)} is one too many")
    if (basic := block.block("basic_auth")) is not None:
        given |= {"username": basic.text("username"), "password": basic.text("password")}
        given |= {key: _path(basic, key) for key in ("username_file", "password_file")}
        basic.end()
    if (bearer := block.block("authorization")) is not None:
        given |= {"scheme": bearer.text("type", "Bearer"), "credentials": bearer.text("credentials")}
        given["credentials_file"] = _path(bearer, "credentials_file")
        bearer.end()
    elif block.has("bearer_token") or block.has("bearer_token_file"):
        given |= {"scheme": "Bearer", "credentials": block.text("bearer_token")}
        given["credentials_file"] = _path(block, "bearer_token_file")
    if (tls := block.block("tls_config")) is not None:
        given |= {"ca": tls.text("ca"), "server_name": tls.text("server_name")}
        given["verify"] = not tls.flag("insecure_skip_verify", False)
        given |= {key: _path(tls, key) for key in ("ca_file", "cert_file", "key_file")}
        if bool(given["cert_file"]) != bool(given["key_file"]):
            tls.fault("cert_file", "cert_file and key_file belong together")
        for key in ("min_version", "max_version"):
            tls.choice(key, ("TLS12", "TLS13"), "TLS12")
        tls.end()
    if (headers := block.block("http_headers")) is not None:
        given["headers"] = tuple(
            (name, value)
            for name in headers.nodes
            if (one := headers.block(name)) is not None
            for value in (*one.texts("values"), *one.texts("secrets"))
        )
    return Access(**given)  # type: ignore[arg-type]


def http_client(access: Access, timeout_seconds: float) -> httpx.AsyncClient:
    """A client that reaches targets that way; no proxy of the environment. Raises ConfigError for a bad file."""
    import httpx

    return httpx.AsyncClient(
        verify=_tls(access),
        follow_redirects=access.follow_redirects,
        proxy=access.proxy_url or None,
        timeout=timeout_seconds,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    )


def credentials(access: Access) -> dict[str, str]:
    """The headers that say who asks, with what stands in their files now. Raises ConfigError for an unreadable file."""
    import base64

    found = dict(access.headers)
    secret = _secret(access.credentials_file) or access.credentials
    if access.scheme and secret:
        found["authorization"] = f"{access.scheme} {secret}"
    user = _secret(access.username_file) or access.username
    if user:
        pair = f"{user}:{_secret(access.password_file) or access.password}"
        found["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return found


def _tls(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=str(access.ca_file) if access.ca_file else None, cadata=access.ca or None
        )
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.cert_file and access.key_file:
            context.load_cert_chain(access.cert_file, access.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates cannot be read: {error}", where=str(access.ca_file or "")) from error
    return context


def _secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(MAX_SECRET_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(file)) from error


def _path(block: Block, key: str) -> Path | None:
    text = block.text(key)
    return block.file.parent / text if text else None
