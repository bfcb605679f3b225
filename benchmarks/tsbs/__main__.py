"""`python -m benchmarks.tsbs --hosts 20`: one run, printed."""

from benchmarks.tsbs import arguments, run

print(run(arguments()))
