"""Answers out of roll-ups: where they are those of the samples, and where samples have gone for their age."""

from workbench.query.rollups.fill import filled, poorer
from workbench.query.rollups.levels import Levels, Part, gone_text
from workbench.query.rollups.pieces import MERGED, read_pieces

__all__ = ["MERGED", "Levels", "Part", "filled", "gone_text", "poorer", "read_pieces"]
