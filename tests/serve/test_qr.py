"""QR codes: their modules against two other encoders (segno for full codes, python-qrcode for all), kept as digests."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET

import pytest

from workbench.errors import InputError
from workbench.serve import qr

TEXT = "http://127.0.0.1:8765/signin#" + "x1Yz" * 60


def digest(modules: qr.Matrix) -> str:
    return hashlib.sha256(
        "\n".join("".join("#" if dark else "." for dark in row) for row in modules).encode()
    ).hexdigest()[:16]


@pytest.mark.parametrize(
    ("length", "size", "known"),
    [
        (1, 21, "576aa0d4f321153f"),
        (14, 21, "4462abd5eb61499a"),
        (15, 25, "56f392d1ddc8da8f"),
        (26, 25, "d4f3f1001f55b7f2"),
        (42, 29, "e3c2f91c18c6b54c"),
        (62, 33, "5176fa27be193173"),
        (84, 37, "b728e3f7c8bafdae"),
        (85, 41, "f64d92f7ca2cf382"),
        (106, 41, "c84651c740d6a87c"),
        (122, 45, "81b4d72615d76054"),
        (150, 49, "c9e0b56a9045d3d1"),
        (180, 53, "84428f24b61d918c"),
        (200, 57, "c267165a063bf4b8"),
        (213, 57, "aa332268a50d5a2c"),
    ],
)
def test_the_modules_are_those_of_other_encoders(length, size, known):
    modules = qr.matrix(TEXT[:length])
    assert len(modules) == size
    assert {len(row) for row in modules} == {size}
    assert digest(modules) == known


def test_too_much_is_refused():
    with pytest.raises(InputError):
        qr.matrix("a" * 214)


def test_the_image_has_a_name_a_quiet_zone_and_every_dark_module():
    image = ET.fromstring(qr.svg("#secret", label="A link"))
    assert image.get("role") == "img"
    assert image.get("aria-label") == "A link"
    modules = qr.matrix("#secret")
    assert image.get("viewBox") == f"0 0 {len(modules) + 8} {len(modules) + 8}"
    _, dark = image
    assert dark.get("d").count("M") == sum(map(sum, modules))
    assert dark.get("d").startswith("M4 4h1v1h-1z")
