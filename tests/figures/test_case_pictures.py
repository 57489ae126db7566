import subprocess
import sys

import numpy as np
import pytest
from myosweep.figures import areas
from myosweep.figures.areas import draw_areas, open_ends
from myosweep.figures.case import draw_case
from myosweep.figures.montage import cross_section_slices
from myosweep.figures.scene import make_scene, survey
from myosweep.figures.style import PICTURES, structure_colours
from myosweep.figures.surfaces import ANGLES, cast_rays, draw_surfaces
from myosweep.geometry import Grid
from myosweep.io.files import read_json
from myosweep.io.volumes import Volume
from PIL import Image
from scipy import ndimage

SPACING = (1.0, 1.5, 2.0)
STRUCTURES = {"GM": 1, "muscle": 7}


def grid_of(shape):
    return Grid((shape[2], shape[1], shape[0]), SPACING, np.array([10.0, -5.0, 3.0]), np.eye(3))


@pytest.fixture(scope="module")
def case():
    shape = (40, 30, 36)
    grid = grid_of(shape)
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[((z - 18) / 14) ** 2 + ((y - 10) / 6) ** 2 + ((x - 12) / 8) ** 2 < 1] = 1
    labels[((z - 30) / 20) ** 2 + ((y - 20) / 6) ** 2 + ((x - 22) / 9) ** 2 < 1] = 7
    image = (60 + 100 * (labels > 0) + (17 * x + 31 * y + 7 * z) % 40).astype(np.uint8)
    coverage = np.full(shape, 3.0, dtype=np.float32)
    coverage[10:14] = -1.25
    coverage[:, :, 33:] = 0
    image[coverage == 0] = 0
    return {
        "image": Volume(image, grid),
        "coverage": Volume(coverage, grid),
        "labels": {"labels_shape": Volume(labels, grid), "unet": Volume(np.roll(labels, 1, 2), grid)},
        "reference": Volume(labels, grid),
    }


def draw(case, folder, name="p01", **changes):
    given = {**case, **changes}
    draw_case(name, *given.values(), STRUCTURES, folder, renderer="simple")


@pytest.fixture(scope="module")
def drawn(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw(case, folder)
    return folder


def pixels(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert "Software" not in picture.info
        return np.asarray(picture.convert("RGB"))


def test_all_pictures_are_there_and_show_something(drawn):
    for name in PICTURES:
        picture = pixels(drawn / name)
        assert picture.shape[1] == 1500
        assert 400 < picture.shape[0] < 4000
        assert picture.std() > 5


def test_same_bytes_twice(case, drawn, tmp_path):
    draw(case, tmp_path)
    for file in sorted(drawn.iterdir()):
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_outlines_have_the_colours_of_their_structures(drawn):
    montage = pixels(drawn / "montage.png").reshape(-1, 3)
    for colour in structure_colours(STRUCTURES).values():
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(montage.astype(int) - wanted).max(axis=1) <= 3).sum() > 500


def test_the_montage_keeps_proportions(case, tmp_path):
    """Two bars of one length along x and y in mm are as long on the picture."""
    image = np.zeros_like(case["image"].array)
    image[:, 8:16, 6:18] = 255  # 8 x 1.5 mm deep, 12 x 1 mm wide
    empty = {"labels_shape": Volume(np.zeros_like(image), case["image"].grid)}
    draw(case, tmp_path, image=Volume(image, case["image"].grid), labels=empty, reference=None)
    white = pixels(tmp_path / "montage.png").min(axis=2) > 200
    blocks = [
        np.ptp([[part.start, part.stop] for part in box], axis=1)
        for box in ndimage.find_objects(ndimage.label(white)[0])
        if white[box].mean() > 0.97 and white[box].size > 2000
    ]
    # A voxel is about 12 pixels wide here: smoothing between voxels moves an edge by less than two of them.
    squares = [block for block in blocks if abs(block[0] - block[1]) <= 4]
    assert len(squares) == 6


@pytest.mark.parametrize("what", ["no sources", "nothing known", "all unknown"])
def test_cases_without_much_in_them(case, tmp_path, what):
    grid = case["image"].grid
    shape = case["image"].array.shape
    zeros = Volume(np.zeros(shape, dtype=np.uint8), grid)
    changes = {
        "no sources": {"labels": {}, "reference": None},
        "nothing known": {
            "image": zeros,
            "coverage": Volume(np.zeros(shape, dtype=np.float32), grid),
            "labels": {"labels_zoi": Volume(np.full(shape, 255, dtype=np.uint8), grid)},
            "reference": None,
        },
        "all unknown": {"labels": {"labels_zoi": Volume(np.full(shape, 255, dtype=np.uint8), grid)}},
    }[what]
    draw(case, tmp_path, **changes)
    assert all((tmp_path / name).is_file() for name in PICTURES)


def test_a_reference_on_another_grid_is_brought_over(case):
    fine = Grid((72, 60, 80), (0.5, 0.75, 1.0), np.array([9.75, -5.375, 2.5]), np.eye(3))
    mask = np.kron(case["reference"].array, np.ones((2, 2, 2), dtype=np.uint8))
    scene = make_scene(
        "p01", case["image"], case["coverage"], case["labels"], Volume(mask, fine), STRUCTURES, "probe"
    )
    assert scene.reference is not None
    assert (scene.reference == case["reference"].array).mean() > 0.999


def test_survey_counts_volumes_areas_and_fill(case):
    scene = make_scene("p01", *case.values(), STRUCTURES, "probe")
    counted = survey(scene)
    labels = case["labels"]["labels_shape"].array
    areas = counted.areas["labels_shape"]
    for index, value in enumerate(STRUCTURES.values()):
        assert areas.volume_ml[index] == pytest.approx((labels == value).sum() * 3.0 / 1000)
        assert areas.area_cm2[index].sum() * 2.0 / 10 == pytest.approx(areas.volume_ml[index])
    assert counted.fill_distance_mm == pytest.approx((1.25, 1.25), abs=0.03)
    assert counted.filled.sum() == 4 * 30 * 33
    assert counted.muscle_filled.sum() == (labels[10:14] > 0)[:, :, :33].sum()
    far = scene.coverage[10:14, :, :33] < -3.0
    assert counted.muscle_far.sum() == ((labels[10:14, :, :33] > 0) & far).sum()
    assert counted.box == ((0, 39), (0, 29), (0, 32))


def test_open_outline_is_where_a_structure_borders_on_unknown_voxels(case):
    labels = case["labels"]["labels_shape"].array.copy()
    labels[18, :, 12:] = 255
    given = {**case, "labels": {"labels_shape": Volume(labels, case["image"].grid)}}
    shares = survey(make_scene("p01", *given.values(), STRUCTURES, "probe")).areas["labels_shape"].open_share
    assert shares[0, 18] > 0.2
    assert shares[0, 17] == 0
    assert shares[0, 19] == 0


def test_open_ends():
    nan = np.nan
    assert open_ends(np.array([nan, 4.0, 5.0, 3.0, 0.0, nan])) == [1]
    assert open_ends(np.array([0.0, 4.0, 5.0, 3.0])) == [3]
    assert open_ends(np.full(4, nan)) == []


def test_cross_sections_are_evenly_spaced_within_the_span():
    assert cross_section_slices((0, 59)) == [5, 15, 25, 35, 45, 55]
    assert cross_section_slices((7, 7)) == [7]


def test_summary_says_what_the_report_needs(drawn):
    summary = read_json(drawn / "summary.json")
    assert summary["sources"] == ["labels_shape", "unet"]
    assert 0 < summary["structures_filled_percent"] < 100
    assert 0 <= summary["structures_far_percent"] <= summary["structures_filled_percent"]
    # The second structure is cut off by the end of the volume, but its outline is closed in every slice.
    assert summary["open_outline_mm"]["labels_shape"]["GM"] == 0


def test_rays_see_the_nearer_structure():
    fractions = np.zeros((2, 20, 30, 30), dtype=np.float32)
    fractions[0, :, 4:12, 6:24] = 1  # towards the probe
    fractions[1, :, 18:26, 6:24] = 1
    views = cast_rays(fractions, np.ones(3), ["#ff0000", "#0000ff"], (200, 200), 25.0)
    assert len(views) == len(ANGLES)
    for view, nearer in zip(views.astype(int), (0, 2), strict=True):
        assert (view[..., nearer] > view[..., 2 - nearer] + 30).sum() > (
            view[..., 2 - nearer] > view[..., nearer] + 30
        ).sum()


def test_a_renderer_that_crashes_leaves_a_picture_and_a_remark(case, tmp_path, monkeypatch):
    crash = tmp_path / "crash.py"
    crash.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr("myosweep.figures.surfaces.RENDERER", crash)
    scene = make_scene("p01", *case.values(), STRUCTURES, "probe")
    remark = draw_surfaces(scene, survey(scene), tmp_path / "view3d.png")
    assert "SIGSEGV" in remark
    assert "libegl1" in remark
    assert pixels(tmp_path / "view3d.png").std() > 5


def can_render():
    probe = "import pyvista as pv; p = pv.Plotter(off_screen=True); p.add_mesh(pv.Sphere()); p.screenshot()"
    environment = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow", "PATH": "/usr/bin:/bin"}
    try:
        return (
            subprocess.run(
                [sys.executable, "-c", probe], env=environment, capture_output=True, timeout=120
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


def test_vtk_draws_the_surfaces_where_it_can(case, tmp_path):
    if not can_render():
        pytest.skip("VTK cannot render here: no EGL (apt-get install libegl1 libgl1-mesa-dri)")
    scene = make_scene("p01", *case.values(), STRUCTURES, "probe")
    for name in ("a.png", "b.png"):
        assert draw_surfaces(scene, survey(scene), tmp_path / name) == ""
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert pixels(tmp_path / "a.png").std() > 5


def test_names_with_dollars_and_tags_are_drawn_as_they_are(case, tmp_path):
    scene = make_scene("$x^{2$ <b>&", *case.values(), STRUCTURES, "probe")
    draw_areas(scene, survey(scene), tmp_path / "areas.png")
    assert pixels(tmp_path / "areas.png").std() > 5


def test_areas_tell_the_volumes_of_labels_and_not_the_sampled_reference(case, tmp_path, monkeypatch):
    scene = make_scene("p01", *case.values(), STRUCTURES, "probe")
    figures = []
    monkeypatch.setattr(areas, "save", lambda figure, _: figures.append(figure))
    draw_areas(scene, survey(scene), tmp_path / "areas.png")
    told = [text.get_text() for axes in figures[0].axes for text in axes.texts]
    assert all("labels_shape" in text and "reference" not in text for text in told)
    assert len(told) == len(STRUCTURES)
    assert "reference" in [text.get_text() for text in figures[0].legends[0].get_texts()]


def test_colours_of_other_names_differ():
    colours = structure_colours(["GM", "a", "b", "GL", "c"])
    assert len(set(colours.values())) == 5
    assert structure_colours(["muscle"])["muscle"] not in structure_colours(["GM", "GL", "SOL"]).values()


def test_the_main_source_comes_first_and_gives_the_mean_confidence(case, tmp_path):
    labels = case["labels"]["labels_shape"].array
    confidence = np.where(labels == 1, 0.25, np.where(labels == 7, 0.75, 1.0)).astype(np.float32)
    given = {**case, "labels": dict(reversed(case["labels"].items()))}
    draw_case(
        "p01",
        *given.values(),
        STRUCTURES,
        tmp_path,
        confidence=Volume(confidence, case["image"].grid),
        main="labels_shape",
        renderer="simple",
    )
    summary = read_json(tmp_path / "summary.json")
    assert summary["sources"] == ["labels_shape", "unet"]
    assert summary["confidence"] == {"GM": 0.25, "muscle": 0.75}
