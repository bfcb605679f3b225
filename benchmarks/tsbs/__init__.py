"""Long queries beside named peers: data in the shape of TSBS's devops case, made here, the same for all servers.

`python -m benchmarks.tsbs --hosts 20` is the small form, of some minutes.
"""

from benchmarks.tsbs.run import arguments, run

_HEAD = "Peers are fed by remote write, each question goes to all in turns; `differs`: points off Prometheus'."


def day() -> str:
    """TSBS's size for devops: 100 hosts x 100 metrics, 10 s, 24 h: 86 M samples."""
    return _section("A day of 100 hosts", "--hosts 100 --metrics 100")


def rough_day() -> str:
    """A smaller one with jitter, gaps, resets and churn."""
    return _section("The same with jitter, gaps, resets and churn", "--hosts 40 --metrics 50 --rough")


def month() -> str:
    """Twelve panels over 30 days: 100 M samples."""
    return _section("A dashboard over 30 days", "--hosts 83 --metrics 14 --hours 720 --step 30 --dashboard")


def _section(title: str, flags: str) -> str:
    return f"## {title}\n\n{_HEAD}\n{run(arguments(flags.split()))}"
