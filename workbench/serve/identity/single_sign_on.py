"""Single sign-on: `/signin/oidc` sends people to the identity provider, `/signin/oidc/callback` takes them back.

Who comes for the first time becomes a user with the role that his claims give; each later sign-in gives him the role
that they give then. A user is known by issuer and subject, never by a name that somebody could choose.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from workbench.config import Settings
from workbench.errors import InputError, SignInRequired
from workbench.serve.access.headers import Headers
from workbench.serve.access.origins import Origins
from workbench.serve.identity import claims as meaning
from workbench.serve.identity import users
from workbench.serve.identity.audit import Audit
from workbench.serve.identity.oidc import Errand, Provider
from workbench.serve.identity.people import Arrival, open_session
from workbench.serve.identity.signin import arrival, cookie_name, local_path
from workbench.store import state

BEGIN = "/signin/oidc"
BACK = "/signin/oidc/callback"
AWAY_SECONDS = 600
MOST_AWAY = 10_000


@dataclass(frozen=True)
class Away:
    """Somebody who is at the provider: in which browser, where he wants to land, since when."""

    errand: Errand
    browser: str
    target: str
    since: float


class OidcSignIn:
    """The two addresses, as the sign-in page's `SingleSignOn`. Who is away is remembered in memory, bounded."""

    def __init__(self, settings: Settings, engine: sa.Engine, origins: Origins, audit: Audit) -> None:
        self.label = settings.auth.oidc_label
        self._auth = settings.auth
        self._engine = engine
        self._origins = origins
        self._audit = audit
        self._provider = Provider(settings.auth)
        self._cookie = cookie_name(origins.main_port) + "_oidc"
        self._away: OrderedDict[str, Away] = OrderedDict()

    async def answer(self, scope: MutableMapping[str, Any], headers: Headers) -> tuple[str, str] | Response | None:
        """(secret of a session, path to land on) of who comes back signed in; or a redirect; None for all else."""
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        query = {name: values[0] for name, values in asked.items() if len(values) == 1}
        if scope["path"] == BEGIN:
            return await self._begin(query, headers)
        if scope["path"] == BACK:
            return await self._back(query, headers, arrival(scope, headers, "oidc"))
        return None

    async def _begin(self, query: Mapping[str, str], headers: Headers) -> Response:
        redirect_uri = self._origins.main_hosts[headers.host] + BACK
        address, errand = await self._provider.begin(redirect_uri, anew="again" in query)
        browser = secrets.token_urlsafe(32)
        self._away[errand.state] = Away(errand, browser, local_path(query.get("next", "/")), time.monotonic())
        while len(self._away) > MOST_AWAY:
            self._away.popitem(last=False)
        answer = RedirectResponse(address, status_code=303)
        # Whoever comes back must be the browser that went: else somebody could sign others in as himself.
        answer.set_cookie(
            self._cookie,
            browser,
            max_age=AWAY_SECONDS,
            path=BEGIN,
            secure=self._origins.secure(headers.host),
            httponly=True,
            samesite="lax",
        )
        return answer

    async def _back(self, query: Mapping[str, str], headers: Headers, came: Arrival) -> tuple[str, str]:
        away = self._away.pop(query.get("state", ""), None)
        browser = headers.cookie(self._cookie) or ""
        if away is None or time.monotonic() - away.since > AWAY_SECONDS:
            raise SignInRequired("this sign-in took too long or was finished before", hint="Begin it again.")
        if not hmac.compare_digest(away.browser.encode(), browser.encode()):
            raise SignInRequired("this sign-in was begun in another browser", hint="Begin it again here.")
        found = await self._provider.finish(away.errand, query)
        return await run_in_threadpool(self._session, found, came), away.target

    def _session(self, found: meaning.Claims, came: Arrival) -> str:
        meaning.check_domain(self._auth, found)
        user_id = self._user(found, meaning.role_of(self._auth, found))
        with self._engine.begin() as connection:
            return open_session(connection, user_id, came, time.time_ns() // 1000)

    def _user(self, found: meaning.Claims, role: str) -> int:
        """The id of the user with that subject, made or given his role of today. Raises SignInRequired."""
        subject = f"{found['iss']} {found['sub']}"
        with self._engine.connect() as connection:
            known = connection.execute(sa.select(state.users).where(state.users.c.subject == subject)).first()
        try:
            if known is None:
                name = meaning.name_of(self._auth, found)
                user_id = users.add_user(self._engine, name, role, subject=subject)
                self._audit("single sign-on", "user.add", name, role=role, subject=subject)
                return user_id
            if known.disabled_us is not None:
                raise SignInRequired(f"{known.name} is disabled here", hint="Ask an admin.")
            if known.role != role:
                users.set_role(self._engine, known.id, role)
                self._audit("single sign-on", "user.role", known.name, role=role, before=known.role)
            return int(known.id)
        except InputError as error:
            # A name that is taken is another's: taking it over would make us him.
            raise SignInRequired(error.message, hint="An admin can rename or map your account there.") from error
