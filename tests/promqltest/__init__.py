"""Runs scripts in the format in which Prometheus publishes the tests of its evaluator ("promqltest").

    python -m tests.promqltest FILE…

prints every case that does not hold, then `N passed, N failed`; the exit code is 1 where one failed.
"""
