"""What holds of sound holds of every map, however it is made."""

import numpy as np
import pytest
from echoes import limb, tissue
from myosweep.confidence import ConfidenceOptions, confidence_map
from scipy import ndimage

VARIANTS = {
    "all": ConfidenceOptions(),
    "fixed": ConfidenceOptions(normalisation="fixed"),
    "middle": ConfidenceOptions(sink="middle"),
    "minimum": ConfidenceOptions(sink="minimum"),
    "everywhere": ConfidenceOptions(sink="everywhere"),
    "everywhere fixed": ConfidenceOptions(sink="everywhere", normalisation="fixed"),
    "directed": ConfidenceOptions(method="directed"),
    "directed fixed": ConfidenceOptions(method="directed", normalisation="fixed"),
}
every_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())


@every_variant
def test_falls_along_the_beam_in_a_homogeneous_image(options):
    result = confidence_map(np.full((50, 31), 100, dtype=np.uint8), options)
    middle = result[:, 15]
    assert (np.diff(middle) < 0).all()
    if options.sink not in ("middle", "minimum"):
        assert (np.diff(result, axis=0) < 0).all()
        # A column at the image's side has one diagonal less.
        assert np.ptp(result, axis=1).max() < 0.02


@every_variant
def test_shadow_behind_bone(options):
    image = tissue((160, 120), (60, 40, 80))
    if options.method == "directed":
        image = ndimage.gaussian_filter(image.astype(float), 3)
    result = confidence_map(image, options)[80:110]
    behind, beside = result[:, 48:72].mean(), result[:, [*range(16), *range(104, 120)]].mean()
    assert behind < 0.9 * beside


def test_shadow_behind_recorded_bone(plus_data):
    sitk = pytest.importorskip("SimpleITK")
    path = plus_data / "sequences" / "BoneUltrasound_L14.igs.mha"
    if not path.is_file():
        pytest.skip(f"no {path}")
    frame = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[10, 8:604:2, 180:640:2]
    # The bone's surface lies at rows 125 to 190; beside it, to the right, muscle reaches down.
    behind, beside = (slice(200, 240), slice(50, 140)), (slice(200, 240), slice(205, 230))
    for options in VARIANTS.values():
        result = confidence_map(frame, options)
        assert result[behind].mean() < 0.9 * result[beside].mean()


@every_variant
def test_a_mirrored_image_gives_the_mirrored_map(options):
    # An odd width: of an even one the middle is, as in MONAI, the right one of two.
    image = limb((60, 49))
    mirrored = confidence_map(image[:, ::-1], options)[:, ::-1]
    assert np.allclose(mirrored, confidence_map(image, options), atol=1e-9)


@every_variant
@pytest.mark.parametrize(("scale", "offset"), [(3.0, 0.0), (1 / 255, 0.0), (1e-3, 17.0)])
def test_brightness_does_not_matter(options, scale, offset):
    image = limb().astype(float)
    changed = image * scale + offset
    if options.normalisation == "fixed":
        if offset:
            pytest.skip("a fixed normalisation knows where black is")
        settings = {**vars(options), "white": 255 * scale}
        assert np.allclose(
            confidence_map(changed, ConfidenceOptions(**settings)), confidence_map(image, options), atol=1e-9
        )
        return
    # The offset costs some digits of the differences.
    assert np.allclose(confidence_map(changed, options), confidence_map(image, options), atol=1e-6)


def test_a_darker_frame_is_told_from_a_brighter_one_by_a_fixed_white():
    image = tissue((120, 60))
    fixed = ConfidenceOptions(normalisation="fixed")
    assert np.abs(confidence_map(image // 2, fixed) - confidence_map(image, fixed)).mean() > 0.01
