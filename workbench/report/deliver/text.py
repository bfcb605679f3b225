"""A report as plain text: the part of a mail for those who read it so."""

from __future__ import annotations

import textwrap

from workbench.report.deliver.tree import Node, body_of

WIDTH = 78
BLOCKS = frozenset({"p", "div", "section", "article", "blockquote", "main", "root", "details", "summary", "figure"})


def text_of(html: str) -> str:
    """Headings underlined, lists with dashes, tables a line a row, pictures by their alt texts."""
    lines: list[str] = []
    _block(body_of(html), lines)
    text = "\n".join(line.rstrip() for line in lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip() + "\n"


def _block(node: Node, lines: list[str]) -> None:
    words: list[str] = []

    def flush() -> None:
        text = " ".join("".join(words).split())
        words.clear()
        if text:
            lines.extend([*textwrap.wrap(text, WIDTH), ""])

    for child in node.children:
        if child.tag in ("style", "script", "head", "title"):
            continue
        if child.tag in ("h1", "h2", "h3", "h4"):
            flush()
            title = _inline(child)
            lines.extend(["", title, ("=" if child.tag == "h1" else "-") * min(len(title), WIDTH), ""])
        elif child.tag in ("ul", "ol"):
            flush()
            for item in child.find_all("li"):
                lines.extend(textwrap.wrap(_inline(item), WIDTH, initial_indent="- ", subsequent_indent="  "))
            lines.append("")
        elif child.tag == "table":
            flush()
            _table(child, lines)
        elif child.tag == "pre":
            flush()
            lines.extend([*("    " + line for line in _raw(child).splitlines()), ""])
        elif child.tag in BLOCKS:
            flush()
            _block(child, lines)
        elif child.tag == "img":
            flush()
            lines.extend([*textwrap.wrap(f"[Chart: {child.attributes.get('alt') or 'no description'}]", WIDTH), ""])
        else:
            words.append(child.text if not child.tag else _inline_spaced(child))
    flush()


def _table(table: Node, lines: list[str]) -> None:
    rows = [[_inline(cell) for cell in row.find_all("th", "td")] for row in table.find_all("tr")]
    count = max((len(row) for row in rows), default=0)
    widths = [min(36, max(len(row[at]) for row in rows if at < len(row))) for at in range(count)]
    for number, row in enumerate(rows):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)))
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    lines.append("")


def _inline(node: Node) -> str:
    return " ".join(_inline_spaced(node).split())


def _inline_spaced(node: Node) -> str:
    if not node.tag:
        return node.text
    if node.tag == "br":
        return " "
    if node.tag == "img":
        return f" [Chart: {node.attributes.get('alt') or 'no description'}] "
    if "anchor-link" in node.attributes.get("class", ""):
        return ""
    text = "".join(_inline_spaced(child) for child in node.children)
    address = node.attributes.get("href", "") if node.tag == "a" else ""
    return f"{text} ({address})" if address.startswith(("http", "mailto:")) and address != text else text


def _raw(node: Node) -> str:
    return node.text if not node.tag else "".join(_raw(child) for child in node.children)
