"""QR codes as SVG, so that a phone's camera reads a sign-in link from the screen."""

from __future__ import annotations

from markupsafe import Markup, escape

QUIET = 4  # modules of white around it, as ISO/IEC 18004 asks


def svg(text: str, *, label: str) -> Markup:
    """The code of `text` as one SVG element named `label`, black on white in light and dark alike."""
    import segno

    code = segno.make(text, micro=False)
    image = code.svg_inline(border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None)
    return Markup(image.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1))
