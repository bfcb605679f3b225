"""`python -m benchmarks.tsbs --hosts 20`: one run, printed."""

from benchmarks.tsbs.run import arguments, run

print(run(arguments()))
