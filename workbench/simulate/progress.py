"""What the demo knows of itself: remembered in the home, and told to the pages in a small file."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from workbench.config import Settings
from workbench.simulate.by_hand import started
from workbench.simulate.faults.affected import affected
from workbench.simulate.faults.schedule import incidents, iso
from workbench.simulate.grid import CELL_US
from workbench.simulate.plan import Memory, Plan, planned, recall, remember, write_json
from workbench.simulate.shapes import DAY_US


class Progress:
    """Memory (`state/demo.json`), truth (`state/truth.jsonl`) and what pages show (`demo.json` in the run-time folder).

    The latter is `{"state": "loading"|"waiting"|"live", "done": 0..1, "since", "live", "message"}`, times in ISO 8601.
    Thread-safe: the loader and the live loop both report here.
    """

    def __init__(self, settings: Settings, now_us: int) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._memory_file = settings.state_dir / "demo.json"
        self._memory = planned(recall(self._memory_file), now_us, settings.demo.history_days)
        self._truth_day = 0
        self._message = ""
        self._save()
        self.write_truth(now_us)

    @property
    def memory(self) -> Memory:
        """The memory as it stands."""
        return self._memory

    def rows_since_us(self, now_us: int) -> int:
        """From when on single rows are sent live: what is before is in a plan, or was sent by a predecessor."""
        live_us = self._memory.live_us
        since_us = live_us if live_us and now_us - live_us < 2 * CELL_US else now_us
        return since_us // CELL_US * CELL_US

    def loaded(self, plan: Plan, number: int) -> None:
        """Pieces of a plan up to `number` are in the lake."""
        with self._lock:
            plans = tuple(
                replace(one, done=number) if one.load_id == plan.load_id else one for one in self._memory.plans
            )
            self._memory, self._message = replace(self._memory, plans=plans), ""
            self._save()

    def delivered(self, time_us: int) -> None:
        """Live data up to this moment was taken by the door."""
        with self._lock:
            self._memory = replace(self._memory, live_us=time_us)
            self._save()

    def waits(self, message: str) -> None:
        """The history cannot be loaded now, and why; shown until a piece is loaded."""
        with self._lock:
            self._message = message
            self._save()

    def write_truth(self, now_us: int, *, again: bool = False) -> None:
        """Write every incident from the start of the history to the end of the current day; once a day is enough.

        `again`: write it though it was written today, since an incident was started by hand.
        """
        today = now_us // DAY_US
        if today != self._truth_day or again:
            self._truth_day = today
            by_hand = started(self._settings)
            found = incidents(self._settings.demo.seed, self._memory.since_us, (today + 1) * DAY_US - 1, by_hand)
            lines = [{**incident.as_dict(), "series": affected(incident)} for incident in found]
            write_json(self._settings.state_dir / "truth.jsonl", *lines)

    def _save(self) -> None:
        remember(self._memory_file, self._memory)
        write_json(Path(self._settings.runtime_dir, "demo.json"), self._shown())

    def _shown(self) -> dict[str, str | float]:
        counts = [(min(plan.done, len(plan.pieces())), len(plan.pieces())) for plan in self._memory.plans]
        done, total = sum(done for done, _ in counts), sum(total for _, total in counts)
        state = "waiting" if self._message else "loading" if done < total else "live"
        return {
            "state": state,
            "done": round(done / total, 4) if total else 1.0,
            "since": iso(self._memory.since_us),
            "live": iso(self._memory.live_us) if self._memory.live_us else "",
            "message": self._message,
        }
