"""Runs bqemulator, in its own environment, without GEOGRAPHY: DuckDB's extension for that is a download.

It pins an older protobuf than ours, so it is in no lock of ours, and is started like a server.
"""

import sys

from bqemulator.cli import main
from bqemulator.storage.engine import DuckDBEngine

DuckDBEngine._load_spatial = lambda self: None
sys.exit(main())
