import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from myosweep.figures import cohort
from myosweep.figures.cohort import counted_rows, draw_cohort, signed, unseen_pairs, whole_volume
from myosweep.figures.training import draw_training
from PIL import Image


def volumes_table(cases=6):
    rows = []
    for number in range(cases):
        for structure, ml in (("GM", 200.0), ("muscle", 90.0)):
            for source in ("labels_zoi", "unet"):
                rows.append(
                    {
                        "case": f"p{number}",
                        "split": "test" if number % 2 else "train",
                        "structure": structure,
                        "source": source,
                        "status": "partial" if number == 4 else "measured",
                        "volume_ml": f"{ml + number + (3 if source == 'unet' else -1)}",
                        "reference_ml": f"{ml + 1.2 * number}",
                    }
                )
    return pd.DataFrame(rows)


def metrics_table(volumes):
    rows = []
    for number, row in enumerate(volumes.to_dict("records")):
        for metric, value in (("dice", 0.9 + 0.001 * number), ("hausdorff_95", 2.0 + 0.1 * number)):
            for place in ("", "12"):
                rows.append(
                    {
                        **{key: row[key] for key in ("case", "structure", "source")},
                        "slice": place,
                        "metric": metric,
                        "unit": "1",
                        "value": value,
                    }
                )
    return pd.DataFrame(rows)


def test_models_are_judged_on_test_cases_alone():
    volumes = volumes_table()
    kept = counted_rows(volumes, unseen_pairs(volumes))
    assert set(kept.loc[kept["source"] == "unet", "case"]) == {"p1", "p3", "p5"}
    assert set(kept.loc[kept["source"] == "labels_zoi", "case"]) == set(volumes["case"])
    volumes.loc[(volumes["case"] == "p1") & (volumes["source"] == "unet"), "split"] = "train"
    kept = counted_rows(volumes, unseen_pairs(volumes))
    assert set(kept.loc[kept["source"] == "unet", "case"]) == {"p3", "p5"}


def test_rows_of_slices_are_not_whole_volumes():
    metrics = metrics_table(volumes_table())
    assert len(whole_volume(metrics)) == len(metrics) / 2
    metrics.loc[metrics["slice"] == "", "slice"] = np.nan
    assert len(whole_volume(metrics)) == len(metrics) / 2


def test_pictures_are_drawn_and_the_same_twice(tmp_path):
    volumes = volumes_table()
    for run in ("a", "b"):
        written = draw_cohort(volumes, metrics_table(volumes), tmp_path / run)
        assert [path.name for path in written] == ["agreement.png", "accuracy.png"]
    for name in ("agreement.png", "accuracy.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        with Image.open(tmp_path / "a" / name) as picture:
            assert picture.size[0] == 1500
            assert np.asarray(picture.convert("L")).std() > 5


def test_values_beside_close_lines_do_not_overlap(tmp_path, monkeypatch):
    volumes = volumes_table()
    far = volumes["source"] == "unet"
    volumes.loc[far, "volume_ml"] = (volumes.loc[far, "volume_ml"].astype(float) + 400).astype(str)
    figures = []
    monkeypatch.setattr(cohort, "save", lambda figure, _: figures.append(figure))
    draw_cohort(volumes, metrics_table(volumes), tmp_path)
    renderer = FigureCanvasAgg(figures[0]).get_renderer()
    for axes in figures[0].axes:
        beside = [text for text in axes.texts if text.get_text()[:1] in "+−"]
        assert len(beside) == 3
        boxes = sorted(text.get_window_extent(renderer).extents[[1, 3]].tolist() for text in beside)
        assert all(lower[1] <= upper[0] for lower, upper in itertools.pairwise(boxes))


@pytest.mark.parametrize("cases", [1, 2, 3])
def test_few_cases(tmp_path, cases):
    volumes = volumes_table(cases)
    assert len(draw_cohort(volumes, metrics_table(volumes), tmp_path)) == 2


def test_nothing_to_compare_draws_nothing(tmp_path):
    volumes = volumes_table().assign(reference_ml="")
    assert draw_cohort(volumes, metrics_table(volumes).iloc[:0], tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_training_curves(tmp_path):
    history = pd.DataFrame({"epoch": ["1", "2"], "loss": ["0.9", "0.4"], "validation_dice": ["", "0.8"]})
    assert draw_training(history, tmp_path / "curve.png", "unet")
    assert not draw_training(history[["epoch"]], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_signs_are_typographic():
    assert signed(-1.25) == "−1.2"
    assert signed(0.36) == "+0.4"
