"""One run of a job in a process of its own: it loads what notebooks need, and takes it along when it ends."""

from __future__ import annotations

import argparse

from workbench import config, log
from workbench.report import get_run, run_job
from workbench.serve import home
from workbench.serve.process import end_with
from workbench.store import state


def main() -> None:
    """Carry out `--run N`, which is claimed already."""
    parser = argparse.ArgumentParser(prog="workbench-job-run")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--run", type=int, required=True)
    options = parser.parse_args()
    settings = config.load()
    log.configure("job", level=settings.log.level)
    end_with(options.parent)
    home.use_caches(settings)
    engine = state.engine(settings)
    run = get_run(engine, options.run)
    if run is not None and run.state == "running":
        run_job(run, settings=settings, engine=engine)
    engine.dispose()


if __name__ == "__main__":
    main()
