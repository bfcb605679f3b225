"""Life cycle: what is kept for how long, what lies in the archive, what is held, what is erased."""
