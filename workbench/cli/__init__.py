"""The command line: `workbench COMMAND`.

Exit codes: 0 done, 1 it failed, 2 asked for wrongly or a port is taken, 3 nothing runs (`status`), 130 interrupted.
Every command but `up` works with the workbench running or stopped, and none loads more than it needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from workbench.cli.parser import build_parser, join_relative_times
from workbench.errors import ConfigError, PortTaken, WorkbenchError

__all__ = ["build_parser", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. An error of ours is one line on standard error, never a traceback."""
    options = build_parser().parse_args(join_relative_times(sys.argv[1:] if argv is None else argv))
    module, _, function = options.run.partition(":")
    try:
        code: int = getattr(import_module(f"workbench.cli.{module}"), function)(options)
        sys.stdout.flush()
        return code
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2 if isinstance(error, (ConfigError, PortTaken)) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
