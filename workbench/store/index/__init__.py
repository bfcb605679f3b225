"""The series index: what the lake holds of closed blocks, as chunk files that are quick to read. `docs/index.md`."""
