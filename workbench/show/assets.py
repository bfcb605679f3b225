"""The built browser side: logical name -> hashed file, served precompressed and for ever."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

STATIC_DIR = Path(__file__).resolve().parent / "static"
MANIFEST = "manifest.json"

_MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


@dataclass(frozen=True, eq=False)
class Assets:
    """What `workbench.show.build` made; `urls` is empty where it has not run."""

    urls: dict[str, str]
    files: frozenset[str]
    folder: Path = STATIC_DIR

    def url(self, name: str) -> str:
        """The address of a file by its logical name, empty where it was not built."""
        return self.urls.get(name, "")


def load_assets(folder: Path = STATIC_DIR) -> Assets:
    """Read the manifest; read again only after a new build."""
    manifest = folder / MANIFEST
    try:
        return _load(folder, manifest.stat().st_mtime_ns)
    except OSError:
        return Assets({}, frozenset(), folder)


@lru_cache(maxsize=4)
def _load(folder: Path, _modified_ns: int) -> Assets:
    entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    names = {name: str(entry["file"]) for name, entry in entries.items()}
    return Assets({name: f"/static/{file}" for name, file in names.items()}, frozenset(names.values()), folder)


@dataclass(frozen=True)
class BuiltFile:
    """One file as it goes over the wire."""

    body: bytes
    headers: dict[str, str]


def built_file(name: str, accept_encoding: str) -> BuiltFile | None:
    """A file of the manifest in the best encoding that the browser takes; None for any other name."""
    assets = load_assets()
    if name not in assets.files:
        return None
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Type": _MEDIA_TYPES[Path(name).suffix],
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    accepted = _encodings(accept_encoding)
    path = assets.folder / name
    for encoding, suffix in _ENCODINGS:
        packed = assets.folder / (name + suffix)
        if encoding in accepted and packed.exists():
            headers["Content-Encoding"] = encoding
            path = packed
            break
    return BuiltFile(path.read_bytes(), headers)


def static_file(request: Request) -> Response:
    """One file of the manifest; nothing else is served."""
    found = built_file(str(request.path_params["file"]), request.headers.get("accept-encoding", ""))
    return Response(found.body, headers=found.headers) if found else PlainTextResponse("There is no such file.", 404)


def accepted_encodings(request: Request) -> set[str]:
    """The content encodings that a client takes, without those it refuses by `q=0`."""
    return _encodings(request.headers.get("accept-encoding", ""))


def _encodings(accept_encoding: str) -> set[str]:
    found = set()
    for part in accept_encoding.split(","):
        name, _, parameters = part.partition(";")
        if not _REFUSED.fullmatch(parameters.strip()):
            found.add(name.strip().lower())
    return found
