from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from myosweep.errors import InputError
from myosweep.geometry import Grid, rotation_about
from myosweep.io.slabs import read_slabs
from myosweep.io.volumes import Volume, to_image, write_volume

GRID = Grid((5, 7, 11), (0.3, 0.4, 0.5), np.array([1.0, -2, 3]), rotation_about((1, 2, 3), 0.7))


def volume(kind):
    values = np.random.default_rng(3).integers(0, 200, GRID.shape)
    return Volume(values.astype(kind), GRID)


@pytest.mark.parametrize("suffix", [".mha", ".nii.gz", ".mhd"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("planes", [1, 4, 11, 20])
def test_slabs_are_the_volume(tmp_path, suffix, kind, compress, planes):
    path = tmp_path / f"volume{suffix}"
    if suffix == ".mhd":
        sitk.WriteImage(to_image(volume(kind)), str(path), compress)
    else:
        write_volume(path, volume(kind), compress)
    grid, slabs = read_slabs(path, planes)
    slabs = list(slabs)
    assert grid.same_as(GRID)
    assert [len(slab) for slab in slabs] == [min(planes, 11 - start) for start in range(0, 11, planes)]
    np.testing.assert_array_equal(np.concatenate(slabs), volume(kind).array)


@pytest.mark.parametrize("compress", [True, False])
def test_a_truncated_volume_is_named(tmp_path, compress):
    path = tmp_path / "volume.mha"
    write_volume(path, volume(np.float32), compress)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"volume\.mha"):
        list(read_slabs(path, 3)[1])
