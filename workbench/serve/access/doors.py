"""Who may send data: the rules of the contracts for the ingest ports.

A web page must not be able to reach the doors (exact Host, no Origin, no CORS), another user of this machine must not
be able to write without a token, and a wrong token is never taken for an anonymous sender.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import sqlalchemy as sa

from workbench.config import Settings
from workbench.errors import Forbidden, SignInRequired
from workbench.ingest import Caller, Knock
from workbench.serve.access.reach import ingest_hosts, is_loopback, is_within, trusted_proxies
from workbench.serve.access.sockets import UNKNOWABLE, Owner, socket_owner
from workbench.serve.identity.people import Resolver

WRITERS = frozenset({"ingest", "admin"})
ANONYMOUS_HTTP = frozenset({"/v1/metrics", "/v1/traces", "/v1/logs"})
ANONYMOUS_GRPC = frozenset(
    f"/opentelemetry.proto.collector.{signal.lower()}.v1.{signal}Service/Export"
    for signal in ("Metrics", "Trace", "Logs")
)

Peer = tuple[str, int]


class MachineDoors:
    """Decides for every knock at the ingest ports; `authorize` is ingest's `Authorize`.

    `connected` and `disconnected` bound what is remembered of a peer to the life of its connection, as its port may
    belong to somebody else afterwards.
    """

    def __init__(
        self,
        settings: Settings,
        engine: sa.Engine,
        *,
        owner: Callable[[Peer, int], Owner] = socket_owner,
    ) -> None:
        self._anonymous = settings.ingest.anonymous
        self._ports = {"http": settings.ingest.port, "grpc": settings.ingest.grpc_port}
        self._hosts = {protocol: ingest_hosts(settings, port) for protocol, port in self._ports.items()}
        self._tls = bool(settings.front.tls_cert)
        self._trusted = trusted_proxies(settings)
        self._resolver = Resolver(engine)
        self._uids = frozenset({0, os.getuid()})
        self._owner = owner
        self._remembered: dict[Peer, Owner | None] = {}

    def authorize(self, knock: Knock) -> Caller:
        """Who this is. Raises SignInRequired (401) or Forbidden (403)."""
        self._refuse_web_pages(knock)
        self._refuse_open_ways(knock)
        authorization = knock.headers.get("authorization")
        if authorization is None:
            return self._anonymous_caller(knock)
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise SignInRequired("only `Authorization: Bearer TOKEN` is understood", where="Authorization")
        person = self._resolver.token(secret.strip())
        if person.role not in WRITERS:
            raise Forbidden(f"a token of the role {person.role} may not send data", hint="Use one of the role ingest.")
        return Caller(source=person.id, anonymous=False)

    def connected(self, peer: Peer) -> None:
        """A connection from `peer` begins; who holds its other end is looked up when it first matters."""
        self._remembered[peer] = None

    def disconnected(self, peer: Peer) -> None:
        """The connection from `peer` is over; nothing of it is kept."""
        self._remembered.pop(peer, None)

    def _refuse_web_pages(self, knock: Knock) -> None:
        host = knock.headers.get("host")
        # gRPC has no Host that its servicers see, and no web page can speak it.
        if (knock.protocol == "http" or host is not None) and (host or "").lower() not in self._hosts[knock.protocol]:
            raise Forbidden("this is not an address of the workbench", where="Host")
        if "origin" in knock.headers or knock.headers.get("sec-fetch-site", "none") != "none":
            raise Forbidden("web pages may not send data", where="Origin", hint="Send it from a program.")

    def _refuse_open_ways(self, knock: Knock) -> None:
        """Beyond this machine, what is sent comes over our TLS or through the proxy that speaks it."""
        # Without TLS and without a proxy nothing but loopback is bound: see `reach.check`.
        if self._tls or not self._trusted or knock.peer is None:
            return
        if is_loopback(knock.peer[0]) or is_within(knock.peer[0], self._trusted):
            return
        raise Forbidden("only the proxy may come without TLS", where=knock.peer[0], hint="Use the public address.")

    def _anonymous_caller(self, knock: Knock) -> Caller:
        if not self._anonymous:
            raise SignInRequired("sending data needs a token", hint="`workbench token create --role ingest` makes one.")
        if knock.protocol == "http":
            welcome = knock.method == "POST" and knock.path in ANONYMOUS_HTTP
        else:
            welcome = knock.path in ANONYMOUS_GRPC
        if not welcome:
            raise SignInRequired("this door needs a token", hint="`workbench token create --role ingest` makes one.")
        if knock.peer is None or not is_loopback(knock.peer[0]):
            raise SignInRequired("only programs on this machine may send without a token", where=str(knock.peer))
        if is_within(knock.peer[0], self._trusted):
            raise SignInRequired("what comes through the proxy needs a token", where=knock.peer[0])
        owner = self._owner_of(knock.peer, self._ports[knock.protocol])
        if owner is not UNKNOWABLE and owner.uid not in self._uids:
            raise SignInRequired(
                "without a token only programs of the user who runs the workbench may send",
                where=f"user id {owner.uid}" if owner.uid is not None else "the sender had already hung up",
                hint="`workbench token create --role ingest` makes a token.",
            )
        return Caller(source="anonymous", anonymous=True)

    def _owner_of(self, peer: Peer, port: int) -> Owner:
        known = self._remembered.get(peer)
        if known is None:
            known = self._owner(peer, port)
            if peer in self._remembered:
                self._remembered[peer] = known
        return known
