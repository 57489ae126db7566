from __future__ import annotations

import sys
from pathlib import Path

# Helpers beside the tests: importlib mode puts no folder of tests on the path.
sys.path.insert(0, str(Path(__file__).parent))
