"""A renewed certificate is taken up while we run, by every door that shows it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import grpc

from workbench import log
from workbench.config import Settings
from workbench.serve.access.reach import certificate_files

LOOK_EVERY_SECONDS = 10.0

_log = log.get(__name__)


class Certificate:
    """The certificate on disk: loads it into a context again once its files have changed and fit together."""

    def __init__(self, settings: Settings, context: ssl.SSLContext) -> None:
        self._files = certificate_files(settings)
        self._context = context
        self._seen = self._stamp()

    def renew(self) -> bool:
        """Whether new files were taken up. Half-written ones are left alone, and tried again when they change."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            # Into a context of its own first: one that fails half-way would leave the old certificate with a new key.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self._context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            _log.error("the changed certificate cannot be used; the old one stays", error=str(error))
            return False
        _log.info("certificate renewed", file=str(self._files[0]))
        return True

    async def watch(self) -> None:
        """Look now and then, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            self.renew()

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        try:
            return tuple((found.st_mtime_ns, found.st_size) for found in (file.stat() for file in self._files))
        except OSError:  # being replaced right now
            return ()


def grpc_credentials(settings: Settings) -> grpc.ServerCredentials:
    """The same for gRPC, which asks at the beginning of each connection."""
    files = certificate_files(settings)
    seen: list[tuple[bytes, bytes]] = [_read(files)]

    def configuration(pair: tuple[bytes, bytes]) -> grpc.ServerCertificateConfiguration:
        certificate, key = pair
        return grpc.ssl_server_certificate_configuration([(key, certificate)])

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        try:
            found = _read(files)
            if found == seen[-1]:
                return None
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files)
        except (OSError, ssl.SSLError):
            return None  # half-written; the HTTP doors say so in the log
        seen[:] = [found]
        return configuration(found)

    return grpc.dynamic_ssl_server_credentials(configuration(seen[0]), fetch)


def _read(files: tuple[Path, Path]) -> tuple[bytes, bytes]:
    return files[0].read_bytes(), files[1].read_bytes()
