"""`python tests/services/image_builder` starts the emulator."""

import importlib
import sys
from pathlib import Path

folder = Path(__file__).resolve().parent
sys.path.insert(0, str(folder.parent))
importlib.import_module(f"{folder.name}.command").main()
