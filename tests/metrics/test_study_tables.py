"""Tables of studies against values by hand, and weights against the network's own."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from myosweep.errors import InputError
from myosweep.io.files import write_json
from myosweep.metrics.studies import (
    COLUMNS,
    Subject,
    Training,
    read_evaluations,
    read_training,
    study_rows,
    write_study,
)

DICE = {"a": {"GM": 0.8, "SOL": 0.6}, "b": {"GM": 0.9, "SOL": 0.9}}


def evaluated(dice: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        case: {name: {"dice": value, "hausdorff_95": 10 * value} for name, value in values.items()}
        for case, values in dice.items()
    }


def both(steps: int = 40, weights: int = 100) -> list[Training]:
    return [Training(("GM", "SOL"), steps, weights)]


def test_means_and_deviations_by_hand() -> None:
    gm, sol, mean = study_rows([Subject("unet", ["GM", "SOL"], 0, both(), evaluated(DICE))])
    assert [row["structure"] for row in (gm, sol, mean)] == ["GM", "SOL", "mean"]
    assert gm["dice_mean"] == pytest.approx(0.85)
    assert gm["dice_sd"] == pytest.approx(0.1 / math.sqrt(2))
    assert gm["hausdorff_95_mm_mean"] == pytest.approx(8.5)
    assert sol["dice_sd"] == pytest.approx(0.3 / math.sqrt(2))
    # Case a has .7 over its structures, case b .9.
    assert mean["dice_mean"] == pytest.approx(0.8)
    assert mean["dice_sd"] == pytest.approx(0.2 / math.sqrt(2))
    assert {(row["cases"], row["steps"], row["weights"], row["given_slices"]) for row in (gm, sol, mean)} == {
        (2, 40, 100, 0)
    }
    assert gm["surface_distance_mm_mean"] is None


def test_networks_of_one_structure_count_together_and_folds_in_the_mean() -> None:
    trainings = [
        Training((name,), steps, weights)
        for steps in (40, 50)
        for name, weights in (("GM", 100), ("SOL", 100))
    ]
    gm, _, mean = study_rows([Subject("ifssnet", ["GM", "SOL"], 3, trainings, evaluated(DICE))])
    assert (gm["steps"], gm["weights"]) == (45, 100)
    assert (mean["steps"], mean["weights"]) == (45, 200)
    (alone,) = study_rows([Subject("pgnet", ["GM"], 3, trainings, evaluated(DICE))])
    assert (alone["structure"], alone["given_slices"]) == ("GM", 3)


def test_one_case_has_no_deviation_and_what_is_no_number_does_not_count() -> None:
    found = evaluated({"a": DICE["a"]})
    found["a"]["SOL"] |= {"dice": math.inf}
    gm, sol, mean = study_rows([Subject("unet", ["GM", "SOL"], 0, both(), found)])
    assert gm["dice_sd"] is None
    assert (sol["dice_mean"], sol["hausdorff_95_mm_mean"]) == (None, 6.0)
    assert mean["dice_mean"] == 0.8
    with pytest.raises(InputError, match="model unet"):
        study_rows([Subject("unet", ["GM"], 0, both(), {})])


def test_files_become_the_table(tmp_path: Path) -> None:
    lines = [
        "structure,slice,metric,unit,value",
        "GM,,dice,1,0.5",
        "GM,7,area,cm2,3.0",
        "GM,,volume,ml,200.0",
    ]
    lines += ["GM,,absolute_volume_error_percent,%,4.0", "GM,3,dice,1,0.1", "SOL,,dice,1,0.9"]
    for case in ("01", "02"):
        path = tmp_path / "comparison.unet" / f"{case}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    found = read_evaluations(sorted(tmp_path.glob("*/*.csv")))
    assert found["comparison.unet"]["01"]["GM"] == {"dice": 0.5, "absolute_volume_error_percent": 4.0}
    subject = Subject("unet", ["GM"], 0, [Training(("GM",), 4, 5)], found["comparison.unet"])
    write_study(tmp_path / "one.csv", study_rows([subject]))
    write_study(tmp_path / "two.csv", study_rows([subject]))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    with open(tmp_path / "one.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == COLUMNS
    assert row | {"volume_error_percent_mean": "4.0000", "dice_sd": "0.0000", "recall_mean": ""} == row
    assert list(row)[:5] == ["model", "structure", "cases", "steps", "weights"]


@pytest.mark.parametrize("network", ["vnet", "unet_s_r_clstm"])
def test_weights_are_those_that_are_learned(tmp_path: Path, network: str) -> None:
    from myosweep.networks import create
    from safetensors.torch import save_file

    settings = {"widths": [4, 8], "norm": "batch"} if network == "unet_s_r_clstm" else {}
    module = create(network, 1, 2, settings)
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    assert any(name.endswith("running_mean") for name in state)
    save_file(state, tmp_path / "weights.safetensors")
    described = {"structures": {"GM": 1}, "training_settings": {"patches": 3}, "training": {"epochs": 10}}
    write_json(tmp_path / "model.json", described)
    expected = sum(weight.numel() for weight in module.parameters())
    assert read_training(tmp_path, 4) == Training(("GM",), 120, expected)
