"""`python tests/services/amazon` starts the cloud."""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
importlib.import_module("tests.services.amazon.command").main()
