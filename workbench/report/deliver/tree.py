"""The page of a report as a small tree, for what is not a browser: plain text, PDF, and the pictures of a mail."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"img", "br", "hr", "meta", "link", "col", "input", "wbr"})
PICTURES = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "gif": b"GIF8"}
"""The kinds of picture that every mail reader and every PDF can show, and how their files begin."""


@dataclass
class Node:
    """An element, or a text where `tag` is empty."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def find_all(self, *tags: str) -> Iterator[Node]:
        """All elements of some tags below this one, in order."""
        for child in self.children:
            if child.tag in tags:
                yield child
            yield from child.find_all(*tags)

    def words(self) -> str:
        """All its text, white space as one blank."""
        parts = [self.text, *(child.words() for child in self.children)]
        return " ".join(" ".join(parts).split()) if self.tag not in ("", "span", "a", "b", "i") else "".join(parts)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        for at in range(len(self._open) - 1, 0, -1):
            if self._open[at].tag == tag:
                del self._open[at:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(Node("", text=data))


def tree_of(html: str) -> Node:
    """The tree of a page of ours. Anything can be read; what is closed wrongly is closed with what surrounds it."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


def body_of(html: str) -> Node:
    """What stands in `main` of a report, without head and provenance."""
    root = tree_of(html)
    return next(root.find_all("main"), root)


def picture_of(image: Node) -> tuple[str, bytes] | None:
    """(kind, bytes) of an inlined picture; None for any other."""
    head, _, text = image.attributes.get("src", "").partition(",")
    kind = next((kind for kind in PICTURES if head == f"data:image/{kind};base64"), "")
    try:
        content = base64.b64decode(text, validate=False) if kind else b""
    except (binascii.Error, ValueError):
        return None
    return (kind, content) if kind and content.startswith(PICTURES[kind]) else None
