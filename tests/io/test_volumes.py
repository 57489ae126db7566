from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from myosweep.geometry import Grid, rotation_about
from myosweep.io.volumes import Volume, read_volume, to_image, write_volume


def volume_of(dtype: type, components: int = 0) -> Volume:
    shape = (3, 4, 5, components) if components else (3, 4, 5)
    array = (np.arange(np.prod(shape)).reshape(shape) % 251).astype(dtype)
    direction = rotation_about((1.0, 2.0, 3.0), 0.3)
    grid = Grid((5, 4, 3), (0.277, 0.5, 1.0 / 3), np.array([1.1, -2.2, 1e3 / 7]), direction)
    return Volume(array, grid, {"note": "of a test"})


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize(
    ("dtype", "components"), [(np.uint8, 0), (np.float32, 0), (np.int16, 0), (np.uint8, 3)]
)
def test_itk_reads_what_is_written(tmp_path: Path, dtype: type, components: int, compress: bool) -> None:
    volume = volume_of(dtype, components)
    write_volume(tmp_path / "v.mha", volume, compress)
    image = sitk.ReadImage(str(tmp_path / "v.mha"))
    expected = to_image(volume)
    assert image.GetPixelID() == expected.GetPixelID()
    assert image.GetMetaData("note") == "of a test"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array)
    assert image.GetOrigin() == expected.GetOrigin()
    assert image.GetSpacing() == expected.GetSpacing()
    assert image.GetDirection() == expected.GetDirection()
    assert [path.name for path in tmp_path.iterdir()] == ["v.mha"]


@pytest.mark.parametrize("name", ["v.nii.gz", "v.nrrd", "v.mha"])
def test_volumes_come_back(tmp_path: Path, name: str) -> None:
    volume = volume_of(np.float32)
    write_volume(tmp_path / name, volume)
    again = read_volume(tmp_path / name)
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_allclose(again.grid.index_to_world, volume.grid.index_to_world, atol=1e-4)
