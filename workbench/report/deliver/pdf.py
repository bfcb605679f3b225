"""A report as a PDF that can be printed and read aloud: tagged, charts with alt texts, numbered pages, its provenance.

The page's tree becomes Typst code (https://typst.app/docs/reference/), in which every text is a string literal, so
nothing in a report can be read as code. The result keeps to PDF/UA-1 (ISO 14289-1), the standard for accessible PDF.
"""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

from workbench.errors import ReportError
from workbench.report.deliver.tree import Node, body_of, picture_of
from workbench.report.kept import Report
from workbench.report.provenance import Provenance

LEVELS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 4, "h6": 4}
STYLE = """
#set text(font: "Libertinus Serif", size: 10.5pt, lang: "en")
#set par(leading: 0.62em, spacing: 0.9em)
#show heading: set block(above: 1.4em, below: 0.7em)
#show heading.where(level: 1): set text(size: 18pt)
#show heading.where(level: 2): set text(size: 13pt)
#show link: set text(fill: rgb("#0b57a4"))
#set table(stroke: (x, y) => (bottom: 0.5pt + rgb("#c6ccd4")), inset: (x: 4pt, y: 3pt))
#show table: set text(size: 9pt)
"""
INLINE = {"strong": "strong", "b": "strong", "em": "emph", "i": "emph", "code": "raw", "sup": "super", "sub": "sub"}


def report_pdf(report: Report) -> bytes:
    """The PDF of a report. Raises ReportError where the report has no page, or Typst cannot set it."""
    if not report.html.is_file():
        raise ReportError("the report has no page to print", where=f"report {report.id}")
    provenance = report.provenance() if report.provenance_file.is_file() else None
    title = f"{report.name.replace('_', ' ').capitalize()}, {report.date}"
    return html_pdf(report.html.read_text(encoding="utf-8"), title=title, provenance=provenance)


def kept_pdf(report: Report) -> Path:
    """The file of the PDF beside the report's page, made now where it is not there yet. Raises ReportError."""
    file = report.html.with_suffix(".pdf")
    if not file.is_file():
        draft = file.with_name(f".{secrets.token_hex(4)}.pdf")
        draft.write_bytes(report_pdf(report))
        draft.replace(file)
    return file


def html_pdf(html: str, *, title: str, provenance: Provenance | None = None) -> bytes:
    """The PDF of a page that `render_html` made. Raises ReportError."""
    import typst

    with tempfile.TemporaryDirectory(prefix="workbench-pdf-") as name:
        folder = Path(name)
        code = _Code(folder)
        code.blocks(body_of(html))
        main = folder / "main.typ"
        main.write_text(_head(title, provenance) + STYLE + "\n".join(code.lines), encoding="utf-8")
        compiler = typst.Compiler(main, root=folder)
        try:
            made = compiler.compile(format="pdf", pdf_standards="ua-1")
        except typst.TypstError:
            try:
                # A sign that no font here has breaks the standard; such a page is still tagged, and better than none.
                made = compiler.compile(format="pdf")
            except typst.TypstError as error:
                raise ReportError(f"the PDF cannot be set: {error.message}", where=title) from error
    if not isinstance(made, bytes):
        raise ReportError("the PDF has no pages", where=title)
    return made


def _head(title: str, provenance: Provenance | None) -> str:
    foot = "Workbench"
    if provenance is not None:
        foot = (
            f"{provenance.notebook} ({provenance.notebook_sha256[:12]}), data {provenance.lake_version}, "
            f"workbench {provenance.code_version}, executed {provenance.executed_at}"
        )
    return (
        f"#set document(title: {_text(title)}, author: {_text('workbench')})\n"
        '#set page(paper: "a4", margin: (x: 2cm, top: 2cm, bottom: 2.2cm), footer: context [\n'
        '#set text(size: 7.5pt, fill: rgb("#56606e"))\n'
        f"#grid(columns: (1fr, auto), column-gutter: 1em, {_text(foot)}, "
        "[#counter(page).display() / #str(counter(page).final().first())])])\n"
    )


class _Code:
    """Typst code of a tree; pictures are written into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self._folder = folder
        self._pictures = 0
        self._level = 0

    def blocks(self, node: Node) -> None:
        """Everything below a node, one block after another."""
        words: list[str] = []

        def flush() -> None:
            text = "".join(words)
            words.clear()
            if text.strip() and text != '#" "':
                self.lines.append(f"#par[{text}]")

        for child in node.children:
            if child.tag in ("style", "script", "head", "title", "hr"):
                continue
            if block := self._block(child):
                flush()
                self.lines.append(block)
            elif child.tag in ("", "br", "a", "span", "small", *INLINE):
                words.append(self._inline(child))
            else:
                flush()
                self.blocks(child)
        flush()

    def _block(self, node: Node) -> str:
        """The code of a block of a kind of its own; empty where `node` is none, or has nothing to show."""
        if node.tag in LEVELS:
            # A level must not be skipped on the way down: readers with a screen reader go from heading to heading.
            self._level = min(LEVELS[node.tag], self._level + 1)
            return f"#heading(level: {self._level})[{self._children(node)}]"
        if node.tag == "p":
            return f"#par[{self._children(node)}]" if node.words() or list(node.find_all("img")) else ""
        if node.tag in ("ul", "ol"):
            kind = "list" if node.tag == "ul" else "enum"
            items = [f"[{self._children(item)}]" for item in node.children if item.tag == "li"]
            return f"#{kind}({', '.join(items)})" if items else ""
        if node.tag == "table":
            return self._table(node)
        if node.tag == "pre":
            return f"#raw({_text(_raw(node))}, block: true)"
        if node.tag == "img":
            return self._picture(node)
        return ""

    def _table(self, table: Node) -> str:
        rows = [[cell for cell in row.children if cell.tag in ("td", "th")] for row in table.find_all("tr")]
        rows = [row for row in rows if row]
        if not rows:
            return ""
        width = max(len(row) for row in rows)
        columns = ["auto"] * (width - 1) + ["1fr"] if width > 1 else ["1fr"]
        made = []
        for number, row in enumerate(rows):
            cells = [f"[{self._children(cell)}]" for cell in row] + ["[]"] * (width - len(row))
            first = number == 0 and all(cell.tag == "th" for cell in row)
            made.append(
                f"table.header({', '.join(f'strong({cell})' for cell in cells)})" if first else ", ".join(cells)
            )
        return f"#table(columns: ({', '.join(columns)},), {', '.join(made)})"

    def _picture(self, image: Node) -> str:
        alt = image.attributes.get("alt") or "a chart without a description"
        found = picture_of(image)
        if found is None:
            return f"#par[#emph[#{_text(alt)}]]"
        kind, content = found
        self._pictures += 1
        name = f"{self._pictures}.{'jpg' if kind == 'jpeg' else kind}"
        (self._folder / name).write_bytes(content)
        return f"#image({_text(name)}, width: 100%, alt: {_text(alt)})"

    def _children(self, node: Node) -> str:
        return "".join(self._inline(child) for child in node.children)

    def _inline(self, node: Node) -> str:
        if not node.tag:
            text = " ".join(node.text.split())
            lead = " " if node.text[:1].isspace() else ""
            trail = " " if text and node.text[-1:].isspace() else ""
            return f"#{_text(lead + text + trail)}" if text or lead else ""
        if node.tag == "br":
            return "#linebreak()"
        if node.tag == "img":
            return self._picture(node)
        if "anchor-link" in node.attributes.get("class", ""):
            return ""
        if node.tag == "code":
            return f"#raw({_text(_raw(node))})"
        inner = self._children(node)
        address = node.attributes.get("href", "") if node.tag == "a" else ""
        if address.startswith(("http://", "https://", "mailto:")):
            return f"#link({_text(address)})[{inner}]"
        return f"#{INLINE[node.tag]}[{inner}]" if node.tag in INLINE else inner


def _raw(node: Node) -> str:
    return node.text if not node.tag else "".join(_raw(child) for child in node.children)


def _text(text: str) -> str:
    """A string literal of Typst."""
    plain = "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
