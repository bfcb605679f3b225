"""OpenID Connect, the part that a web application needs: discovery, authorization code with PKCE, the ID token.

OpenID Connect Core 1.0 (3.1, code flow), Discovery 1.0, RFC 7636 (PKCE, S256), RFC 9207 (issuer in the answer). Whom
the ID token names is believed only after signature, issuer, audience, time and nonce were checked.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from workbench.config import Auth
from workbench.errors import SignInRequired
from workbench.serve.access.origins import is_local

# Signatures by a private key alone: with a shared secret the provider and we could not be told apart, `none` is none.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
LEEWAY_SECONDS = 60  # how far two clocks may be apart
REMEMBERED_SECONDS = 3600.0
KEYS_AGAIN_SECONDS = 60.0  # an unknown key makes us ask again, but not as often as somebody sends one
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Errand:
    """What is remembered of somebody while he is at the provider."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class Provider:
    """One identity provider. Its description and keys are fetched when first needed and remembered for an hour."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def begin(self, redirect_uri: str, *, anew: bool = False) -> tuple[str, Errand]:
        """Where to send somebody, and what to remember; `anew` has him prove who he is even if he is signed in there.

        Raises SignInRequired where the provider cannot be reached or does not describe itself.
        """
        metadata = await self._describe()
        errand = Errand(_secret(), _secret(), _secret(), redirect_uri)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(errand.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._auth.oidc_client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self._auth.oidc_scopes))),
            "state": errand.state,
            "nonce": errand.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            **({"prompt": "login"} if anew else {}),
        }
        endpoint = str(metadata["authorization_endpoint"])
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked), errand

    async def finish(self, errand: Errand, answer: Mapping[str, str]) -> dict[str, Any]:
        """The claims about somebody who came back with `answer` (the query). Raises SignInRequired, saying why."""
        metadata = await self._describe()
        if answer.get("error"):
            raise _failed(f"the identity provider says: {answer.get('error_description') or answer['error']}"[:300])
        if answer.get("iss", metadata["issuer"]) != metadata["issuer"]:
            raise _failed("the answer comes from another identity provider")
        if not answer.get("code"):
            raise _failed("the identity provider sent no code")
        tokens = await self._trade(metadata, errand, answer["code"])
        claims = await self._read(metadata, str(tokens.get("id_token", "")), errand.nonce)
        return await self._complete(metadata, claims, str(tokens.get("access_token", "")))

    async def _trade(self, metadata: Mapping[str, Any], errand: Errand, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": errand.redirect_uri,
            "code_verifier": errand.verifier,
            "client_id": self._auth.oidc_client_id,
        }
        basic, secret = None, self._client_secret()
        if secret:
            if "client_secret_basic" in metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
                basic = httpx.BasicAuth(quote_plus(self._auth.oidc_client_id), quote_plus(secret))
            else:
                form["client_secret"] = secret
        return await self._ask("POST", metadata["token_endpoint"], data=form, auth=basic)

    async def _read(self, metadata: Mapping[str, Any], id_token: str, nonce: str) -> dict[str, Any]:
        client_id = self._auth.oidc_client_id
        wanted = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": metadata["issuer"]},
            aud={"essential": True, "value": client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                token = jwt.decode(id_token, await self._key_set(metadata), algorithms=ALGORITHMS)
            except (JoseError, ValueError):
                # The provider may have changed its keys since we asked.
                keys = await self._key_set(metadata, older_than_seconds=KEYS_AGAIN_SECONDS)
                token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            wanted.validate(token.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise _failed(f"the ID token cannot be believed: {error}") from error
        claims = dict(token.claims)
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims.get("azp", client_id) != client_id or (len(audiences) > 1 and "azp" not in claims):
            raise _failed("the ID token was made for another application")
        return claims

    async def _complete(self, metadata: Mapping[str, Any], claims: dict[str, Any], token: str) -> dict[str, Any]:
        """The claims with those that the provider tells only at its userinfo endpoint."""
        wanted = {self._auth.oidc_name_claim, self._auth.oidc_role_claim.partition(".")[0]}
        if self._auth.oidc_domains:
            wanted |= {"email", "email_verified"}
        endpoint = metadata.get("userinfo_endpoint")
        if not endpoint or not token or wanted <= set(claims):
            return claims
        more = await self._ask("GET", endpoint, headers={"Authorization": f"Bearer {token}"})
        if more.get("sub") != claims["sub"]:
            raise _failed("the identity provider told us about somebody else")
        return {**more, **claims}

    async def _describe(self) -> dict[str, Any]:
        if self._metadata and time.monotonic() - self._metadata[0] < REMEMBERED_SECONDS:
            return self._metadata[1]
        issuer = self._auth.oidc_issuer.rstrip("/")
        found = await self._ask("GET", f"{issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise _failed(f"the identity provider calls itself {found.get('issuer')!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            address = str(found.get(name, ""))
            if not address.startswith("https://") and not (address.startswith("http://") and is_local(address)):
                raise _failed(f"the identity provider has no safe {name}")
        self._metadata = (time.monotonic(), found)
        return found

    async def _key_set(self, metadata: Mapping[str, Any], *, older_than_seconds: float = REMEMBERED_SECONDS) -> KeySet:
        if self._keys and time.monotonic() - self._keys[0] < older_than_seconds:
            return self._keys[1]
        document: Any = await self._ask("GET", metadata["jwks_uri"])
        self._keys = (time.monotonic(), KeySet.import_key_set(document))
        return self._keys[1]

    async def _ask(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                answer = await client.request(method, address, **more)
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _failed(f"the identity provider does not answer at {address}: {error!r}") from error
        if answer.status_code != 200 or not isinstance(found, dict):
            told = found.get("error_description") or found.get("error") if isinstance(found, dict) else ""
            raise _failed(f"the identity provider answered {answer.status_code} {told or ''}".strip()[:300])
        return found

    def _client_secret(self) -> str:
        if not self._auth.oidc_client_secret_file:
            return ""
        try:
            return Path(self._auth.oidc_client_secret_file).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _failed(f"the client's secret cannot be read: {error}") from error


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _failed(message: str) -> SignInRequired:
    return SignInRequired(message, hint="Try again; if it stays so, an admin finds more in front's log.")
