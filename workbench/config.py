"""One frozen settings object: defaults < `workbench.toml` < environment < flags.

`workbench.toml` lies in the home and has one table per section, e.g. `[ingest]` with `anonymous = false`. The same
setting is `WORKBENCH_INGEST_ANONYMOUS=false` in the environment and `"ingest.anonymous"` among the flags. A key that
does not exist is an error that names the nearest one that does.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import os
import stat
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from workbench.errors import ConfigError

ENV_PREFIX = "WORKBENCH_"

LIFECYCLE = "lifecycle"
"""Name of the rules in the same file that say what is kept how long: the store reads them, anew for every round."""


def default_home() -> Path:
    """`$XDG_DATA_HOME/workbench`, where the workbench keeps all that it writes."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "workbench"


@dataclass(frozen=True)
class Front:
    """The addresses for people, and how far they and the doors for machines are reached."""

    bind: str = "127.0.0.1"
    port: int = 8765
    notebook_port: int = 8766
    public_url: str = ""
    notebook_url: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    trusted_proxy: tuple[str, ...] = ()
    browser: bool = True


@dataclass(frozen=True)
class Auth:
    """Single sign-on by OpenID Connect: with whom, and what his claims mean. Without an issuer there is none."""

    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret_file: str = ""
    oidc_label: str = "single sign-on"
    oidc_scopes: tuple[str, ...] = ("profile", "email")
    oidc_name_claim: str = "preferred_username"
    oidc_role_claim: str = "groups"
    oidc_roles: tuple[str, ...] = ()
    oidc_default_role: str = ""
    oidc_domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ingest:
    """The doors for machines, and the bounds of what they take."""

    port: int = 4318
    grpc_port: int = 4317
    public_url: str = ""
    anonymous: bool = True
    max_body_bytes: int = 16 * 2**20
    max_expanded_bytes: int = 64 * 2**20
    max_label_bytes: int = 16 * 2**10
    max_series: int = 1_000_000
    max_anonymous_series: int = 20_000
    max_metric_series: int = 100_000
    max_source_series: int = 500_000
    queue_bytes: int = 64 * 2**20
    accept_past_seconds: int = 24 * 3600
    accept_future_seconds: int = 600


@dataclass(frozen=True)
class Scrape:
    """Scraping: the file of the targets, below the home unless it is absolute."""

    file: str = "scrape.yml"


@dataclass(frozen=True)
class Log:
    """The write-ahead log: when a segment is closed, how long readers may still need it, how verbose we are."""

    segment_seconds: int = 300
    segment_rows: int = 3_000_000
    reader_grace_seconds: int = 60
    level: str = "INFO"


@dataclass(frozen=True)
class Lake:
    """The lake: how long things are kept. `cap_bytes` 0 means: computed at the first start and written down."""

    cap_bytes: int = 0
    min_free_bytes: int = 2**30
    unpinned_version_days: int = 7
    compact_after_files: int = 12
    compact_every_seconds: int = 60
    compact_block_seconds: int = 7200
    simulated_samples_days: int = 90


@dataclass(frozen=True)
class Store:
    """What answers questions: `lake`, or the URL of a back end for samples, and of one for all other tables."""

    timeseries: str = "lake"
    warehouse: str = "lake"


@dataclass(frozen=True)
class State:
    """Where the relational state lies: empty for SQLite in the home, or a URL of SQLAlchemy for PostgreSQL."""

    url: str = ""


@dataclass(frozen=True)
class Index:
    """The series index: which days it covers (0: none), and how long a block of it is."""

    window_days: int = 30
    block_seconds: int = 7200


@dataclass(frozen=True)
class Query:
    """Limits of one query, and how much recent data every reading process holds in memory.

    `broker` is the socket by which a sandboxed process reads, in place of log and lake; empty outside of sandboxes.
    """

    lookback_seconds: float = 300
    max_samples: int = 50_000_000
    max_steps: int = 11_000
    timeout_seconds: int = 60
    start_times: bool = False
    concurrent: int = 4
    queue: int = 64
    head_seconds: int = 7200
    head_samples: int = 8_000_000
    max_rows: int = 1_000_000
    sql_memory_bytes: int = 512 * 2**20
    broker: str = ""


@dataclass(frozen=True)
class Stream:
    """The kernel."""

    lateness_seconds: int = 60


@dataclass(frozen=True)
class Alert:
    """Who gets alerts. `notify` holds Apprise URLs (mailto://…, slack://…) or plain http(s) addresses of webhooks."""

    notify: tuple[str, ...] = ()
    interval_seconds: int = 15
    retry_max_seconds: int = 300
    external_url: str = ""


@dataclass(frozen=True)
class Mail:
    """How reports are mailed: `server` is smtp://, smtps:// or smtp+starttls://, with user:password@ where needed."""

    server: str = ""
    sender: str = ""


@dataclass(frozen=True)
class Ops:
    """The operators' drill-down: how many pages of it may be open at a time."""

    sessions_max: int = 24


@dataclass(frozen=True)
class Lab:
    """JupyterLab and every other kernel of a notebook. The bounds are those of one kernel with all that it starts."""

    memory_bytes: int = 4 * 2**30
    processes: int = 256
    idle_kernel_seconds: int = 3600
    idle_server_seconds: int = 4 * 3600


@dataclass(frozen=True)
class Demo:
    """The simulated STREAM platform."""

    enabled: bool = True
    history_days: int = 60
    detail_days: int = 7
    seed: int = 42


@dataclass(frozen=True)
class Boards:
    """Interactive sessions of boards: how many at once, and after how long without use one ends."""

    sessions: int = 4
    idle_seconds: int = 900


@dataclass(frozen=True)
class Quality:
    """Checks of data quality: how often the keeper looks; 0 means never."""

    every_seconds: int = 300


@dataclass(frozen=True)
class Settings:
    """All settings of a workbench. Read them with `load`; never change them."""

    home: Path = field(default_factory=default_home)
    front: Front = Front()
    auth: Auth = Auth()
    ingest: Ingest = Ingest()
    scrape: Scrape = Scrape()
    log: Log = Log()
    lake: Lake = Lake()
    store: Store = Store()
    state: State = State()
    index: Index = Index()
    query: Query = Query()
    stream: Stream = Stream()
    alert: Alert = Alert()
    mail: Mail = Mail()
    ops: Ops = Ops()
    lab: Lab = Lab()
    demo: Demo = Demo()
    boards: Boards = Boards()
    quality: Quality = Quality()

    @property
    def log_dir(self) -> Path:
        """Where the write-ahead log lies."""
        return self.home / "log"

    @property
    def lake_dir(self) -> Path:
        """Where the Delta tables and the manifests lie."""
        return self.home / "lake"

    @property
    def state_dir(self) -> Path:
        """Where the relational state and the logs of the processes lie."""
        return self.home / "state"

    @property
    def reports_dir(self) -> Path:
        """Where reports are kept."""
        return self.home / "reports"

    @property
    def snapshots_dir(self) -> Path:
        """Where the snapshots of the boards are kept."""
        return self.home / "snapshots"

    @property
    def state_url(self) -> str:
        """SQLAlchemy URL of the relational state."""
        return self.state.url or f"sqlite:///{self.state_dir / 'state.db'}"

    @property
    def runtime_dir(self) -> Path:
        """Folder (0700) for sockets and what lives only while the workbench runs; short, as socket paths must be."""
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        digest = hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:12]
        return base / f"workbench-{os.getuid()}-{digest}"

    @property
    def hub_socket(self) -> Path:
        """The hub's local socket: append, load, seal, and what the kernel and the rules know."""
        return self.runtime_dir / "hub.sock"

    @property
    def scrape_file(self) -> Path:
        """The targets to scrape, in Prometheus' form; it need not be there."""
        return self.home / self.scrape.file

    @property
    def scrape_socket(self) -> Path:
        """The local socket of the process that scrapes: its targets and how they are."""
        return self.runtime_dir / "scrape.sock"

    @property
    def up_file(self) -> Path:
        """What the running `up` says of itself: addresses and processes, as JSON."""
        return self.runtime_dir / "up.json"


def ensure_private_dir(path: Path) -> Path:
    """Make a folder that only its owner can enter, or refuse one that somebody else prepared."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        hint = "Remove it, or set XDG_RUNTIME_DIR."
        raise ConfigError("the folder belongs to somebody else", where=str(path), hint=hint)
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def keys() -> dict[str, Any]:
    """Every setting by its dotted name, with its default; what the docs and the tests compare with."""
    return {name: default for name, (_, default) in _fields().items()}


def load(
    home: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings of the workbench at `home` (default: `WORKBENCH_HOME`, else `default_home()`).

    Raises ConfigError for an unknown key or a value of the wrong type, naming file or variable.
    """
    home = home or (Path(environ["WORKBENCH_HOME"]) if environ.get("WORKBENCH_HOME") else default_home())
    values: dict[str, Any] = {}
    file = home / "workbench.toml"
    if file.exists():
        values.update(_from_file(file))
    values.update(_from_environment(environ))
    for name, value in (flags or {}).items():
        values[name] = _convert(name, value, f"flag {name}")
    return _build(home.expanduser().resolve(), values)


def _fields() -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (type, default) of every setting but `home`."""
    found: dict[str, tuple[Any, Any]] = {}
    for section in dataclasses.fields(Settings):
        if section.name == "home":
            continue
        cls = get_type_hints(Settings)[section.name]
        hints = get_type_hints(cls)
        for leaf in dataclasses.fields(cls):
            found[f"{section.name}.{leaf.name}"] = (hints[leaf.name], leaf.default)
    return found


def _from_file(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        hint = "Mend the file, or move it away."
        raise ConfigError(f"not valid TOML: {error}", where=str(file), hint=hint) from error
    for section, body in document.items():
        if section == LIFECYCLE:
            continue
        if not isinstance(body, dict):
            raise _unknown(section, str(file))
        for key, value in body.items():
            yield f"{section}.{key}", _convert(f"{section}.{key}", value, str(file))


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    names = {ENV_PREFIX + name.replace(".", "_").upper(): name for name in _fields()}
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX) or variable == "WORKBENCH_HOME":
            continue
        if variable not in names:
            raise _unknown(variable, "environment", candidates=list(names))
        yield names[variable], _convert(names[variable], text, variable)


def _unknown(name: str, where: str, candidates: list[str] | None = None) -> ConfigError:
    near = difflib.get_close_matches(name, candidates or list(_fields()), n=1, cutoff=0.0)
    return ConfigError(f"unknown setting {name!r}", where=where, hint=f"Did you mean {near[0]!r}?" if near else "")


def _convert(name: str, value: Any, where: str) -> Any:
    known = _fields()
    if name not in known:
        raise _unknown(name, where)
    kind = known[name][0]
    try:
        if get_origin(kind) is tuple:
            items = value.split() if isinstance(value, str) else list(value)
            return tuple(get_args(kind)[0](item) for item in items)
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
        if kind is int and isinstance(value, (bool, float)):
            raise TypeError
        return kind(value)
    except (KeyError, TypeError, ValueError) as error:
        shown = getattr(kind, "__name__", str(kind))
        hint = f"Default: {known[name][1]!r}."
        raise ConfigError(f"{name} must be {shown}, not {value!r}", where=where, hint=hint) from error


def _build(home: Path, values: Mapping[str, Any]) -> Settings:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, key = name.split(".")
        sections.setdefault(section, {})[key] = value
    hints = get_type_hints(Settings)
    return Settings(home=home, **{section: hints[section](**body) for section, body in sections.items()})
