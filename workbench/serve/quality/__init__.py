"""Data quality at work: the checks in force, looked at again and again, their results kept."""
