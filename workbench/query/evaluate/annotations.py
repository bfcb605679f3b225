"""What an evaluation has to say beside its result: warnings and infos, as Prometheus words them."""

from __future__ import annotations

from workbench.query.promql import Node

WARNING, INFO = "PromQL warning", "PromQL info"


class Annotations:
    """Collects what is to be said, each message once, with the part of the expression that it is about."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, str]] = {}

    def warn(self, message: str, node: Node, detail: str = "") -> None:
        """The result may not be what was meant. `detail` follows the message, but does not tell it from others."""
        self._found[WARNING, message] = node.span[0], detail

    def info(self, message: str, node: Node, detail: str = "") -> None:
        """The result is right, but something about it may surprise."""
        self._found[INFO, message] = node.span[0], detail

    def texts(self, severity: str, expr: str) -> tuple[str, ...]:
        """The messages of one severity, each ending with line and column in the expression."""
        return tuple(
            f"{severity}: {message}{detail} ({_place(expr, position)})"
            for (kind, message), (position, detail) in self._found.items()
            if kind == severity
        )


def _place(expr: str, position: int) -> str:
    before = expr[:position]
    line_start = before.rfind("\n") + 1
    return f"{before.count(chr(10)) + 1}:{len(before[line_start:].encode()) + 1}"
