"""What environments have in common that time programs: modules are compiled before, as usual."""

import os
from collections.abc import Mapping
from pathlib import Path


def compiling_to(folder: Path) -> Mapping[str, str]:
    """This environment, but with compiled modules kept there, even if it says to keep none."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder)}
