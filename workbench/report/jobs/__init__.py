"""Jobs: what schedule files say, when they are due, and the runs that come of them."""
