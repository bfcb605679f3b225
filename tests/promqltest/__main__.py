"""`python -m tests.promqltest FILE…`"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.promqltest.run import run


def main(files: list[str]) -> int:
    """Run scripts, print what fails and the counts. Returns the exit code."""
    passed = failed = 0
    for file in files:
        outcomes = list(run(Path(file).read_text(encoding="utf-8")))
        wrong = [outcome for outcome in outcomes if outcome.failure]
        for outcome in wrong:
            print(f"{file}:{outcome.line}: {outcome.expr}\n    {outcome.failure}")
        if len(files) > 1:
            print(f"{file}: {len(outcomes) - len(wrong)} passed, {len(wrong)} failed")
        passed, failed = passed + len(outcomes) - len(wrong), failed + len(wrong)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
