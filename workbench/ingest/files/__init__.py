"""Import of files: CSV, Parquet and OpenMetrics text, numbered and resumable, straight to the lake."""

from workbench.ingest.files.load import ImportResult, import_files

__all__ = ["ImportResult", "import_files"]
