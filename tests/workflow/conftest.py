"""Fixtures of the pipeline's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "io"))

from small_cohort import Workflow, new_checkout, write_small_cohort


@pytest.fixture
def checkout(tmp_path: Path) -> Workflow:
    """A checkout in which nothing has run."""
    return new_checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The small cohort after a whole run with two cores. Not to be changed: take `finished`."""
    workflow = new_checkout(tmp_path_factory.mktemp("cohort") / "checkout")
    write_small_cohort(workflow)
    workflow.run("results/volumes.csv")
    return workflow


@pytest.fixture
def finished(finished_once: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished small cohort that a test may change."""
    return finished_once.clone(tmp_path / "finished")
