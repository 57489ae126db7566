from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from myosweep.sources import source_files

WORKFLOW = Path(__file__).resolve().parents[1] / "workflow"
SCRIPTS = sorted((WORKFLOW / "scripts").glob("*.py"))

# Does every import that a script holds, and nothing else of it; lists the files that were imported.
IMPORTS = """
import ast, json, sys
tree = ast.parse(open(sys.argv[1]).read())
imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
exec(compile(ast.Module(imports, []), sys.argv[1], "exec"))
files = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "myosweep" and m.__file__]
print(json.dumps(files))
"""


@pytest.fixture
def library(tmp_path: Path) -> Callable[..., set[str]]:
    """Write files of a package `lib` and a script; list what the script uses, by path below the folder."""

    def listed(script: str, **files: str) -> set[str]:
        for name, text in {"lib/__init__": "", "script": script, **files}.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = source_files(tmp_path / "script.py", tmp_path / "lib")
        assert found == sorted(found)
        names = {path.relative_to(tmp_path).with_suffix("").as_posix() for path in found}
        assert {"script"} <= names
        return names - {"script"}

    return listed


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import os", set()),
        ("import lib", {"lib/__init__"}),
        ("import lib.a", {"lib/__init__", "lib/a"}),
        ("from lib import a", {"lib/__init__", "lib/a"}),
        ("from lib.a import thing", {"lib/__init__", "lib/a"}),
        ("import lib.a as b, lib.c", {"lib/__init__", "lib/a", "lib/c"}),
        ("from lib.deep import x", {"lib/__init__", "lib/deep/__init__", "lib/deep/x"}),
        ("def f():\n    import lib.a", {"lib/__init__", "lib/a"}),
        (
            "class C:\n    def f(self):\n        if self:\n            from lib.a import x",
            {"lib/__init__", "lib/a"},
        ),
        ("try:\n    import lib.a\nexcept ImportError:\n    import lib.c", {"lib/__init__", "lib/a", "lib/c"}),
        ("names = {'a': 'lib.a'}", {"lib/__init__", "lib/a"}),
        ("names = {'x': 'lib.deep.x:build'}", set()),
        ("f'lib.deep.{name}'", {"lib/__init__", "lib/deep/__init__", "lib/deep/x", "lib/deep/y"}),
        ("'this is not lib.a'", set()),
        ("'''lib.nowhere'''", {"lib/__init__"}),
        ("import other.lib.a", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lib.a", set()),
        (
            "import typing\nif typing.TYPE_CHECKING:\n    import lib.a\nelse:\n    import lib.c",
            {"lib/__init__", "lib/c"},
        ),
    ],
)
def test_what_a_script_names(library: Callable[..., set[str]], script: str, expected: set[str]) -> None:
    files = {
        "lib/a": "",
        "lib/c": "",
        "lib/deep/__init__": "",
        "lib/deep/x": "",
        "lib/deep/y": "",
        "lib/b": "",
    }
    assert library(script, **files) == expected


def test_relative_imports_are_followed_however_deep(library: Callable[..., set[str]]) -> None:
    found = library(
        "from lib.one import start",
        **{
            "lib/one/__init__": "from .start import begin",
            "lib/one/start": "def begin():\n    from ..two import middle",
            "lib/two/__init__": "",
            "lib/two/middle": "from . import end\nfrom .. import top",
            "lib/two/end": "import lib.one",
            "lib/top": "",
            "lib/two/unused": "import lib.one.other",
            "lib/one/other": "",
        },
    )
    names = {"__init__", "one/__init__", "one/start", "two/__init__", "two/middle", "two/end", "top"}
    assert found == {f"lib/{name}" for name in names}


def test_a_circle_ends(library: Callable[..., set[str]]) -> None:
    files = {"lib/a": "from . import b", "lib/b": "from . import a"}
    assert library("import lib.a", **files) == {"lib/__init__", "lib/a", "lib/b"}


def test_paths_lie_below_the_root_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").touch()
    (tmp_path / "script.py").write_text("import lib")
    monkeypatch.chdir(tmp_path)
    assert source_files(Path("script.py"), Path("lib")) == [Path("lib/__init__.py"), Path("script.py")]


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_everything_that_a_script_really_imports_is_listed(script: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(script)],
        capture_output=True,
        text=True,
        cwd=WORKFLOW,
        env={"PYTHONPATH": str(WORKFLOW), "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    assert shown.returncode == 0, shown.stderr
    imported = {Path(name).resolve() for name in json.loads(shown.stdout)}
    assert imported
    assert imported <= set(source_files(script, WORKFLOW / "myosweep"))


def test_light_stages_do_not_use_the_networks() -> None:
    for name in ("screen", "compound", "register", "interpolate_labels"):
        listed = source_files(WORKFLOW / "scripts" / f"{name}.py", WORKFLOW / "myosweep")
        parts = {path.relative_to(WORKFLOW).parts[1] for path in listed}
        assert not parts & {"networks", "training", "report", "figures"}, name


def test_training_uses_the_networks_of_the_registry() -> None:
    from myosweep.networks import NETWORKS

    listed = source_files(WORKFLOW / "scripts" / "train.py", WORKFLOW / "myosweep")
    for module in NETWORKS.values():
        assert WORKFLOW.joinpath(*module.split(".")).with_suffix(".py") in listed
