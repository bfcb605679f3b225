"""One run of a job, or the examination of a notebook, in a process that takes what notebooks load along at its end."""

from __future__ import annotations

import argparse

from workbench import config, log
from workbench.report import examine, get_run, render_snapshot, run_job
from workbench.serve.process import end_with
from workbench.serve.running import home
from workbench.store import state


def main() -> None:
    """Carry out `--run N`, which is claimed already, or examine `--publication N`."""
    parser = argparse.ArgumentParser(prog="workbench-job-run")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--run", type=int, default=0)
    parser.add_argument("--publication", type=int, default=0)
    options = parser.parse_args()
    settings = config.load()
    log.configure("job", level=settings.log.level)
    end_with(options.parent)
    home.use_caches(settings)
    engine = state.engine(settings)
    if options.publication:
        done = examine(options.publication, settings=settings, engine=engine)
        if done.kind == "board" and done.state == "published":
            render_snapshot(done.name, settings=settings)
    else:
        run = get_run(engine, options.run)
        if run is not None and run.state == "running":
            run_job(run, settings=settings, engine=engine)
    engine.dispose()


if __name__ == "__main__":
    main()
