"""The QR code of a sign-in link: named for those who do not see it, and holding the link."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import segno

from workbench.serve.identity import qr

LINK = "http://192.168.1.20:8765/signin#" + "x1Yz" * 11


def test_the_image_has_a_name_a_quiet_zone_and_every_module_of_the_code():
    image = ET.fromstring(qr.svg(LINK, label='A "link"'))
    assert image.get("role") == "img"
    assert image.get("aria-label") == 'A "link"'
    width, height = segno.make(LINK, micro=False).symbol_size(border=4)
    assert image.get("viewBox") == f"0 0 {width} {height}"
    assert len(list(image)) == 2, "light ground and dark modules"
