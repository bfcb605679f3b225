"""Run by HoloViews when it is first imported: hvplot's charts bring their scripts along and fetch none elsewhere."""

from __future__ import annotations

from holoviews.ipython import notebook_extension

notebook_extension.inline = True
