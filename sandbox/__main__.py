"""``python -m sandbox``, from the project's folder. No path has to be set."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))  # the module of the field table is there

from sandbox.command import main

sys.exit(main())
