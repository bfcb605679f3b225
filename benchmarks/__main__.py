"""`make bench`: run the benchmarks (or those named) and write their sections into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

from benchmarks import boards, drill, idle, ingest, lab, latency, page, tsbs
from benchmarks.machine import ROOT, describe
from benchmarks.tsbs import sql

ALL = {
    "ingest": ingest.run,
    "latency": latency.run,
    "idle": idle.run,
    "page": page.run,
    "boards": boards.run,
    "drill": drill.run,
    "lab": lab.run,
    "tsbs": tsbs.day,
    "tsbs-rough": tsbs.rough_day,
    "tsbs-dashboard": tsbs.month,
    "tsbs-sql": sql.usual,
}
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Every figure comes from `make bench` (one of them: `make bench ARGS=ingest`), which writes this page. The machines are
shared and noisy: read ratios, not seconds.
"""


def main() -> None:
    """Run, and replace the sections that were measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], help="which; all of them if none is named")
    names = parser.parse_args().names or list(ALL)
    for name in names:
        print(f"measuring {name} …", flush=True)
        section = ALL[name]()
        print(section, flush=True)
        write(name, section, f"make bench ARGS={name}")


def write(name: str, section: str, command: str) -> None:
    """Put a section between its marks, and say when and where it was measured."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else HEAD
    stamp = f"Measured {datetime.now(UTC):%Y-%m-%d}, `{command}`, {describe()}."
    block = f"<!-- {name} -->\n{section}\n\n{stamp}\n<!-- /{name} -->\n"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->\n", re.DOTALL)
    text = pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text}\n{block}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
