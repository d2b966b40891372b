"""Makes the modules of `bench/` importable for the pieces."""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
