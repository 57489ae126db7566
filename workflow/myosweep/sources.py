"""Which files of the library a script uses: an edit reruns the stages that use the file, and no other.

Read whenever the workflow is planned, so it imports nothing heavy and nothing that it lists.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def source_files(script: Path, package_root: Path, without: frozenset[str] = frozenset()) -> list[Path]:
    """The script and every file of the package that it may import, however deep.

    Followed are imports anywhere in a file (inside functions, too), relative ones, the `__init__.py` of every
    package on the way, and texts that name a module ("myosweep.networks.unet" in a registry; an f-string that
    begins with "myosweep.networks." stands for all modules there). Imports for type checkers alone are not.

    Parameters
    ----------
    script
        A Python file that need not be part of the package.
    package_root
        The package's folder; its name is the package's name.
    without
        Modules that are named and not used this time, such as the other networks of the registry, by their
        dotted names; what they alone import is left out, too.

    Returns
    -------
    Sorted paths, the package's below `package_root` as it was given.
    """
    return list(_closure(script, package_root, without))


@cache
def _closure(script: Path, package_root: Path, without: frozenset[str]) -> tuple[Path, ...]:
    found = {script}
    waiting = [(script, "")]
    while waiting:
        path, module = waiting.pop()
        for name in _named_modules(path, module, package_root.name) - without:
            for file, inner in _files_of(name, package_root):
                if file not in found:
                    found.add(file)
                    waiting.append((file, inner))
    return tuple(sorted(found))


@cache
def _files_of(name: str, package_root: Path) -> tuple[tuple[Path, str], ...]:
    """Files that importing a dotted name reads, each with its module's name; a last part may be no module."""
    parts = name.split(".")
    if parts[0] != package_root.name:
        return ()
    if parts[-1] == "*":
        folder = package_root.joinpath(*parts[1:-1])
        inside = sorted(folder.glob("*.py")) if folder.is_dir() else []
        names = [".".join([*parts[:-1], file.stem]) for file in inside if file.stem != "__init__"]
        return tuple(dict.fromkeys(pair for inner in names for pair in _files_of(inner, package_root)))
    files = []
    for length in range(1, len(parts) + 1):
        base = package_root.joinpath(*parts[1:length])
        # A package's own module goes by the name of its __init__, against which relative imports count.
        choices = [(base / "__init__.py", ".".join([*parts[:length], "__init__"]))]
        if length > 1:
            choices.append((base.with_suffix(".py"), ".".join(parts[:length])))
        files += [choice for choice in choices if choice[0].is_file()]
    return tuple(files)


@cache
def _named_modules(path: Path, module: str, package: str) -> frozenset[str]:
    """Dotted names in a file that may be modules of the package; "a.b.*" for all modules of a.b."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    return frozenset(
        name for name in _names(tree, module) if name == package or name.startswith(f"{package}.")
    )


def _names(tree: ast.AST, module: str) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base_of(node, module)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and _MODULE_NAME.fullmatch(node.value):
                yield node.value
        elif isinstance(node, ast.JoinedStr):
            start = node.values[0] if node.values else None
            text = start.value if isinstance(start, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(r"([A-Za-z_]\w*\.)+", text):
                yield f"{text}*"
            waiting.extend(node.values)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _base_of(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def share_with_jobs(folder: Path) -> None:
    """Let every Python that this process starts look for modules in `folder` first."""
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *(path for path in others if path)])
