"""Input that was refused: found again, mended, and sent once more."""

from workbench.ingest.dead_letters.letters import Letter, find_letters
from workbench.ingest.dead_letters.mend import Mend
from workbench.ingest.dead_letters.replay import Replayed, replay

__all__ = ["Letter", "Mend", "Replayed", "find_letters", "replay"]
