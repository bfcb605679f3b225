"""Single sign-on against a real OpenID Connect provider that runs in the test, and against answers that are forged."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import warnings
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import RSAKey

from workbench import config
from workbench.cli import main
from workbench.errors import ConfigError, SignInRequired
from workbench.serve.access.origins import local_origins
from workbench.serve.identity import claims, people, users
from workbench.serve.identity.oidc import Errand, Provider
from workbench.serve.identity.single_sign_on import OidcSignIn
from workbench.store import state

from .conftest import ORIGIN, PORT, Guarded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the provider's own libraries
    from oidc_provider_mock import User, run_server_in_thread

GROUPS = ("workbench-admins=admin", "workbench=analyst")
PEOPLE = (
    User(sub="s-anna", claims={"preferred_username": "anna", "groups": ["staff", "workbench"],
                               "email": "anna@example.org", "email_verified": True}),
    User(sub="s-root", claims={"preferred_username": "ruth", "groups": ["workbench", "workbench-admins"]}),
    User(sub="s-none", claims={"preferred_username": "nobody", "groups": ["staff"]}),
    User(sub="s-thief", claims={"preferred_username": "Owner", "groups": ["workbench"]}),
)  # fmt: skip


@pytest.fixture(scope="module")
def issuer():
    with run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


def settings_of(tmp_path, issuer: str = "https://id.example.org", **more):
    secret = tmp_path / "client.secret"
    secret.write_text("s/cret+ü\n")
    flags = {
        "oidc_issuer": issuer,
        "oidc_client_secret_file": str(secret),
        "oidc_client_id": "workbench",
        "oidc_roles": GROUPS,
        **more,
    }
    return config.load(tmp_path / "home", environ={}, flags={f"auth.{name}": value for name, value in flags.items()})


class Site(Guarded):
    """The gate with single sign-on before it, and a browser between the two sites."""

    def use(self, settings) -> Site:
        self.noted: list[tuple] = []
        origins = local_origins(PORT, PORT + 1)
        self.single_sign_on = OidcSignIn(settings, self.engine, origins, self.note)
        self.gate._door._single_sign_on = self.single_sign_on
        return self

    def note(self, *row, **more) -> None:
        self.noted.append((*row, more))

    def begin(self, query: str = "") -> tuple[str, dict[str, str]]:
        answer = self.request("GET", f"/signin/oidc{query}", {"Accept": "text/html"})
        assert answer.status_code == 303, answer.text
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "Path=/signin/oidc;" in cookie
        return answer.headers["location"], {"Cookie": cookie.split(";")[0], "Accept": "text/html"}

    def there(self, address: str, sub: str, **form: str) -> str:
        """What somebody does at the provider; where it sends him then, as path and query."""
        answer = httpx.post(address, data={"sub": sub, **form}, trust_env=False, timeout=60)
        assert answer.status_code == 302, answer.text
        back = answer.headers["location"]
        assert back.startswith(f"{ORIGIN}/signin/oidc/callback?")
        return back.removeprefix(ORIGIN)

    def sign_in(self, sub: str, query: str = "") -> httpx.Response:
        address, headers = self.begin(query)
        return self.request("GET", self.there(address, sub), headers)

    def person(self, answer: httpx.Response) -> people.Person | None:
        found = re.search(rf"{self.cookie_name}=([^;]+)", answer.headers.get("set-cookie", ""))
        return people.find_session(self.engine, found[1]) if found else None


@pytest.fixture
def site(engine, tmp_path, issuer):
    made = Site(engine)
    people.create_owner(engine)
    return made.use(settings_of(tmp_path, issuer))


def test_the_first_sign_in_makes_a_user_with_the_role_of_his_group(site):
    assert "Sign in with single sign-on" in site.request("GET", "/signin", {"Accept": "text/html"}).text
    answer = site.sign_in("s-anna", "?next=/live/overview")
    assert (answer.status_code, answer.headers["location"]) == (303, "/live/overview")
    anna = site.person(answer)
    assert (anna.name, anna.role) == ("anna", "analyst")
    assert people.is_fresh(anna)
    assert users.list_sessions(site.engine, anna.user_id)[0]["method"] == "oidc"
    assert site.noted[0][1:3] == ("user.add", "anna")
    again = site.person(site.sign_in("s-anna"))
    assert again.user_id == anna.user_id
    assert site.person(site.sign_in("s-root")).role == "admin", "the first pair that fits"


def test_what_is_asked_for(site):
    address, _ = site.begin("?again&next=//evil.example")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["scope"] == "openid profile email"
    assert asked["prompt"] == "login"
    assert asked["redirect_uri"] == f"{ORIGIN}/signin/oidc/callback"
    assert asked["code_challenge_method"] == "S256"
    (away,) = site.single_sign_on._away.values()
    digest = hashlib.sha256(away.errand.verifier.encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert asked["nonce"] == away.errand.nonce
    assert away.target == "/"


def test_roles_follow_the_groups_of_today(site, tmp_path, issuer):
    anna = site.person(site.sign_in("s-anna"))
    site.use(settings_of(tmp_path, issuer, oidc_roles=("workbench=operator",)))
    assert site.person(site.sign_in("s-anna")) == people.Person(anna.id, "operator")
    assert site.noted[-1][1:] == ("user.role", "anna", {"role": "operator", "before": "analyst"})


@pytest.mark.parametrize(
    ("sub", "more", "told"),
    [
        ("s-none", {}, "has no role here"),
        ("s-thief", {}, "already"),
        ("s-root", {"oidc_domains": ("example.org",)}, "domain"),
        ("s-anna", {"oidc_domains": ("example.com",)}, "domain"),
    ],
)
def test_who_may_not_come_in_is_told_why(site, tmp_path, issuer, sub, more, told):
    site.use(settings_of(tmp_path, issuer, **more))
    before = len(users.list_users(site.engine))
    answer = site.sign_in(sub)
    assert answer.status_code == 401
    assert told in answer.text
    assert site.person(answer) is None
    assert len(users.list_users(site.engine)) == before


def test_an_allowed_domain_and_a_default_role(site, tmp_path, issuer):
    site.use(settings_of(tmp_path, issuer, oidc_domains=("Example.org",)))
    assert site.person(site.sign_in("s-anna"))
    site.use(settings_of(tmp_path, issuer, oidc_default_role="viewer"))
    assert site.person(site.sign_in("s-none")).role == "viewer"


def test_a_disabled_user_stays_out(site):
    anna = site.person(site.sign_in("s-anna"))
    users.disable(site.engine, anna.user_id)
    answer = site.sign_in("s-anna")
    assert answer.status_code == 401
    assert "disabled" in answer.text
    assert site.person(answer) is None


def test_only_the_browser_that_went_comes_back_and_only_once(site):
    address, headers = site.begin()
    back = site.there(address, "s-anna")
    _, other = site.begin()
    for thief in ({"Accept": "text/html"}, other):
        answer = site.request("GET", back, thief)
        assert answer.status_code == 401
        assert site.person(answer) is None
        address, headers = site.begin()
        back = site.there(address, "s-anna")
    assert site.person(site.request("GET", back, headers))
    second = site.request("GET", back, headers)
    assert second.status_code == 401
    assert "finished before" in second.text
    for query in ("", "?state=x&code=y", "?code=y"):
        assert site.request("GET", f"/signin/oidc/callback{query}", headers).status_code == 401


def test_refusing_there_is_said_here(site):
    address, headers = site.begin()
    back = site.there(address, "s-anna", action="deny")
    (known,) = site.single_sign_on._away
    answer = site.request("GET", f"{back}&state={known}", headers)
    assert answer.status_code == 401
    assert "identity provider says" in answer.text


def test_a_provider_that_is_away_is_said(site, tmp_path):
    site.use(settings_of(tmp_path, "http://localhost:9"))
    answer = site.request("GET", "/signin/oidc", {"Accept": "text/html"})
    assert answer.status_code == 401
    assert "does not answer" in answer.text
    assert 'name="link"' in answer.text, "the other ways stay"


class Forger(Provider):
    """A provider whose answers the test writes: everything but the checks is ours."""

    def __init__(self, auth, documents):
        super().__init__(auth)
        self.documents = documents

    async def _ask(self, method, address, **more):
        found = self.documents[address.rpartition("/")[2]]
        return json.loads(json.dumps(found))


KEY, OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k"}), RSAKey.generate_key(2048, {"kid": "k"})
ISSUER = "https://id.example.org"
ERRAND = Errand("state", "nonce", "verifier", f"{ORIGIN}/signin/oidc/callback")


def forged(changes=None, *, key=KEY, header=None, **documents):
    now = int(time.time())
    body = {"iss": ISSUER, "aud": "workbench", "sub": "s", "exp": now + 60, "iat": now, "nonce": "nonce",
            "preferred_username": "x", "groups": [], **(changes or {})}  # fmt: skip
    body = {name: value for name, value in body.items() if value is not None}
    token = jwt.encode({"alg": "RS256", "kid": "k", **(header or {})}, body, key)
    return {
        "openid-configuration": {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize",
                                 "token_endpoint": f"{ISSUER}/token", "jwks_uri": f"{ISSUER}/keys",
                                 "userinfo_endpoint": f"{ISSUER}/userinfo"},
        "token": {"id_token": token, "access_token": "a"},
        "keys": {"keys": [KEY.as_dict(private=False)]},
        "userinfo": {"sub": "s", "groups": ["late"]},
        **documents,
    }  # fmt: skip


def finished(tmp_path, documents, **answer):
    import asyncio

    auth = settings_of(tmp_path, ISSUER).auth
    return asyncio.run(Forger(auth, documents).finish(ERRAND, {"code": "c", **answer}))


def test_what_is_genuine_is_believed_and_completed(tmp_path):
    assert finished(tmp_path, forged())["sub"] == "s"
    assert finished(tmp_path, forged({"groups": None}))["groups"] == ["late"]
    assert finished(tmp_path, forged({"aud": ["workbench", "other"], "azp": "workbench"}), iss=ISSUER)
    assert finished(tmp_path, forged({"exp": int(time.time()) - 30})), "clocks may differ a little"


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"aud": None}, {"iss": "https://evil.example"},
        {"exp": 1}, {"exp": None}, {"iat": None}, {"sub": None}, {"iat": 10**11}, {"azp": "another"},
        {"aud": ["workbench", "other"]},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_sign_in_is_refused(tmp_path, changes):
    with pytest.raises(SignInRequired):
        finished(tmp_path, forged(changes))


def test_other_forgeries(tmp_path):
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, {"iss": ISSUER, "aud": "workbench", "sub": "s", "nonce": "nonce"})
    )
    documents = forged()
    hostile = [
        forged(key=OTHER_KEY),
        forged(token={"id_token": unsigned + ".", "access_token": "a"}),
        forged(token={"id_token": "", "access_token": "a"}),
        forged(token={}),
        forged({"groups": None}, userinfo={"sub": "another", "groups": ["workbench-admins"]}),
        forged(**{"openid-configuration": {**documents["openid-configuration"], "issuer": "https://evil.example"}}),
        forged(
            **{
                "openid-configuration": {
                    **documents["openid-configuration"],
                    "token_endpoint": "http://id.example.org/token",
                }
            }
        ),
        forged(keys={"keys": []}),
    ]
    for number, one in enumerate(hostile):
        with pytest.raises(SignInRequired):
            pytest.fail(f"forgery {number} was believed: {finished(tmp_path, one)}")
    with pytest.raises(SignInRequired, match="another identity provider"):
        finished(tmp_path, forged(), iss="https://evil.example")
    with pytest.raises(SignInRequired, match="no code"):
        finished(tmp_path, forged(), code="")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"oidc_issuer": "id.example.org"}, "no address"),
        ({"oidc_issuer": "http://id.example.org"}, "TLS"),
        ({"oidc_client_id": ""}, "client"),
        ({"oidc_roles": ("staff=root",)}, "names no role"),
        ({"oidc_roles": ("staff",)}, "names no role"),
        ({"oidc_roles": ()}, "would have a role"),
        ({"oidc_default_role": "ingest"}, "names no role"),
    ],
)
def test_settings_that_cannot_work_end_the_start(tmp_path, more, told, monkeypatch):
    auth = settings_of(tmp_path, **more).auth
    with pytest.raises(ConfigError, match=told):
        claims.check(auth)
    claims.check(settings_of(tmp_path, "https://id.example.org").auth)
    monkeypatch.setenv("WORKBENCH_AUTH_OIDC_ISSUER", "http://id.example.org")
    assert main(["up", "--home", str(tmp_path / "home"), "--no-browser"]) == 2


@pytest.mark.parametrize(
    ("found", "name"),
    [({"preferred_username": "Anna Lena"}, "Anna.Lena"), ({"preferred_username": "<b>", "sub": "x"}, "b"),
     ({"email": "a@example.org", "sub": "s"}, "a@example.org"), ({"preferred_username": "../..", "sub": "7"}, "7")],
)  # fmt: skip
def test_names_that_claims_give(tmp_path, found, name):
    assert claims.name_of(settings_of(tmp_path, ISSUER).auth, found) == name


def test_a_path_into_the_claims(tmp_path):
    auth = settings_of(tmp_path, ISSUER, oidc_role_claim="realm_access.roles").auth
    assert claims.role_of(auth, {"realm_access": {"roles": ["workbench"]}}) == "analyst"
    for odd in ({}, {"realm_access": None}, {"realm_access": ["workbench"]}, {"realm_access": {"roles": {"a": 1}}}):
        with pytest.raises(SignInRequired):
            claims.role_of(auth, odd)


def test_a_subject_is_one_user(site):
    site.sign_in("s-anna")
    with pytest.raises(sa.exc.IntegrityError), site.engine.begin() as connection:
        connection.execute(state.users.update().values(subject="one"))
