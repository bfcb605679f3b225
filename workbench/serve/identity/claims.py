"""What the claims of an identity provider mean here: name, role, whether somebody may come in at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from workbench.config import Auth
from workbench.errors import ConfigError, SignInRequired
from workbench.serve.access.origins import is_local
from workbench.serve.identity.users import NAME, PERSON_ROLES

Claims = Mapping[str, Any]


def check(auth: Auth) -> None:
    """Raises ConfigError for settings of single sign-on that cannot work."""
    if not auth.oidc_issuer:
        return
    parts = urlsplit(auth.oidc_issuer)
    if not parts.hostname or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ConfigError(
            f"{auth.oidc_issuer!r} is no address", where="auth.oidc_issuer", hint="Begin it with https://"
        )
    if parts.scheme == "http" and not is_local(auth.oidc_issuer):
        raise ConfigError("an identity provider is reached over TLS", where="auth.oidc_issuer", hint="Use https://")
    if not auth.oidc_client_id:
        raise ConfigError("single sign-on needs a client", where="auth.oidc_client_id", hint="Register one there.")
    role_pairs(auth)
    if auth.oidc_default_role and auth.oidc_default_role not in PERSON_ROLES:
        raise _no_role(auth.oidc_default_role, "auth.oidc_default_role")
    if not auth.oidc_roles and not auth.oidc_default_role:
        raise ConfigError(
            "nobody who comes from the identity provider would have a role",
            where="auth.oidc_roles",
            hint='Set auth.oidc_roles, or auth.oidc_default_role = "viewer".',
        )


def role_pairs(auth: Auth) -> tuple[tuple[str, str], ...]:
    """(value of the role claim, role) in the order in which they count. Raises ConfigError."""
    pairs = tuple((text.rpartition("=")[0], text.rpartition("=")[2]) for text in auth.oidc_roles)
    for value, role in pairs:
        if not value or role not in PERSON_ROLES:
            raise _no_role(f"{value}={role}", "auth.oidc_roles")
    return pairs


def role_of(auth: Auth, claims: Claims) -> str:
    """The role that the claims give: the first pair of the settings that fits, else the default.

    Raises SignInRequired where there is neither.
    """
    found = _claim(claims, auth.oidc_role_claim)
    held = {str(value) for value in found} if isinstance(found, list) else {str(found)}
    role = next((role for value, role in role_pairs(auth) if value in held), auth.oidc_default_role)
    if not role:
        raise SignInRequired(
            "your account there has no role here", hint="An admin can map one of its groups: auth.oidc_roles."
        )
    return role


def check_domain(auth: Auth, claims: Claims) -> None:
    """Raises SignInRequired for an address outside the allowed domains, or one that the provider has not verified."""
    if not auth.oidc_domains:
        return
    domain = str(claims.get("email", "")).rpartition("@")[2].lower()
    if claims.get("email_verified") is not True or domain not in {allowed.lower() for allowed in auth.oidc_domains}:
        raise SignInRequired("accounts of your domain may not come in", hint="See auth.oidc_domains.")


def name_of(auth: Auth, claims: Claims) -> str:
    """The name of a new user. Raises SignInRequired where no claim can be one."""
    for claim in (auth.oidc_name_claim, "preferred_username", "email", "sub"):
        # What is no letter of a name here becomes one that is: "Anna Lena" -> "Anna.Lena".
        name = re.sub(r"[^\w.@+-]+", ".", str(_claim(claims, claim) or "")).strip(".-+@")[:64]
        if NAME.fullmatch(name):
            return name
    raise SignInRequired("your account there has no name", hint="See auth.oidc_name_claim.")


def _claim(claims: Claims, path: str) -> Any:
    """A claim by its name, or by its path: `realm_access.roles`."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _no_role(text: str, where: str) -> ConfigError:
    return ConfigError(
        f"{text!r} names no role", where=where, hint=f"Write it as GROUP=ROLE; roles: {', '.join(PERSON_ROLES)}."
    )
