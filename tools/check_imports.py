"""Holds the applications to the public names of Tidemill.

They may say `import tidemill`, `from tidemill import X`, where X stands in `tidemill.__all__`, and
`from M import X` for the modules below, as any user of the library would.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = (
    "tidemill",
    "tidemill.api.server",
    "tidemill.configuration",
    "tidemill.outbound",
    "tidemill.sealing",
    "tidemill.testing",
)


def public_names(init: str) -> frozenset[str]:
    """What the literal `__all__` of a package's source lists; nothing if it has none."""
    for node in ast.parse(init).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=value)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value)
            ):
                return frozenset(ast.literal_eval(value))
    return frozenset()


def check(path: str, source: str, public: frozenset[str]) -> Iterator[str]:
    """One complaint for each way in which the source reaches below the public names."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                reached = [
                    each.name
                    for each in names
                    if each.name.startswith("tidemill.") and each.name not in MODULES
                ]
            case ast.ImportFrom(module="tidemill", names=names, level=0):
                reached = [
                    f"tidemill.{each.name}"
                    for each in names
                    if each.name not in {*public, "testing"}
                ]
            case ast.ImportFrom(module=str(module), level=0) if (
                module.startswith("tidemill.") and module not in MODULES
            ):
                reached = [module]
            case ast.Attribute(value=ast.Name(id="tidemill"), attr=attr) if attr not in {
                *public,
                "testing",
            }:
                reached = [f"tidemill.{attr}"]
            case _:
                continue
        for name in reached:
            yield f"{path}:{node.lineno}: {name} is not public; import from tidemill.__all__ only"


def main(root: Path = Path()) -> int:
    """Check every application below the root; 1 when one imports what is not public."""
    public = public_names((root / "src/tidemill/__init__.py").read_text("utf-8"))
    complaints = [
        complaint
        for file in sorted((root / "apps/src").rglob("*.py"))
        for complaint in check(file.relative_to(root).as_posix(), file.read_text("utf-8"), public)
    ]
    print("\n".join(complaints) or "Imports: the applications use public names only.")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
