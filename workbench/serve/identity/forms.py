"""Forms as browsers send them: read whole, bounded, each field once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from workbench.errors import InputError, TooLarge

MAX_FORM_BYTES = 8192

Receive = Callable[[], Awaitable[Any]]


async def read_form(receive: Receive) -> Mapping[str, str]:
    """The fields of a URL-encoded form, the first of each name. Raises InputError, TooLarge."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InputError("the form ended early")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_FORM_BYTES:
            raise TooLarge("the form is too large", where="form")
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}
