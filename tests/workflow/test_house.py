"""The house in order: one name per stage, environments in step, clean lint."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ORDER = [
    "input",
    "output",
    "log",
    "benchmark",
    "conda",
    "threads",
    "resources",
    "params",
    "message",
    "script",
]


def rules():
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"(?m)^ *(?=(?:rule|checkpoint) \w+:$)", path.read_text())[1:]:
            name = re.match(r"(?:rule|checkpoint) (\w+):", block).group(1)
            indent = re.search(r"\n( +)\w+:\n", block).group(1)
            # A block ends where its indentation does.
            body = re.match(rf"[^\n]*\n(?:(?:{indent}[^\n]*)?\n)*", block).group(0)
            if f"{indent}script:" in body:
                yield pytest.param(name, indent, body, id=name)


@pytest.mark.parametrize(("name", "indent", "body"), list(rules()))
def test_a_rule_its_script_its_log_and_its_benchmark_bear_one_name(name, indent, body):
    assert f'"../scripts/{name}.py"' in body
    assert (ROOT / f"workflow/scripts/{name}.py").is_file()
    assert re.search(rf'"results/logs/{name}[/.]', body)
    assert re.search(rf'"results/benchmarks/{name}[/.]', body)
    directives = re.findall(rf"(?m)^{indent}(\w+):", body)
    assert directives == [key for key in ORDER if key in directives]
    assert {"output", "log", "benchmark", "threads", "resources", "params", "message", "conda"} <= set(
        directives
    )


def test_labels_and_uncertainty_are_asked_of_the_same_networks():
    bodies = {parameter.values[0]: parameter.values[2] for parameter in rules()}
    for line in ("input:", "threads:", "mem_mb=", "side=", "structures=", "channels="):
        predict, uncertainty = (
            re.findall(rf"(?m)^ *{re.escape(line)}.*$", bodies[name])
            for name in ("predict", "map_uncertainty")
        )
        assert predict == uncertainty
        assert len(predict) == 1


def test_the_environment_file_is_in_step_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "envs/myosweep.yaml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in environment if isinstance(entry, dict)]
    assert sorted(pip) == sorted(project["dependencies"])
    assert f"python {project['requires-python']}" in environment


def test_snakemake_lint_is_clean():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow/rules"],
        ["mypy"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_code_is_clean(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
