from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.frame_maps import LEVELS, read_frame_maps, write_frame_maps
from myosweep.io.volumes import Volume, read_volume, write_planes, write_volume


def maps() -> list[tuple[int, int, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(0, 3, rng.random((7, 5))), (0, 10, rng.random((7, 5))), (1, 0, rng.random((4, 9)))]


def test_maps_come_back(tmp_path: Path) -> None:
    write_frame_maps(tmp_path / "m.npz", iter(maps()))
    read = read_frame_maps(tmp_path / "m.npz", 2)
    for sweep, frame, values in maps():
        # Half a level, and the last digit of a float32.
        np.testing.assert_allclose(read[sweep][frame], values, atol=0.51 / LEVELS)
        assert read[sweep][frame].dtype == np.float32
    assert np.load(tmp_path / "m.npz")["0/10"].dtype == np.uint16


def test_bytes_tell_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frame_maps(tmp_path / "1.npz", maps())
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    write_frame_maps(tmp_path / "2.npz", maps())
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    with pytest.raises(InputError, match=r"m\.npz"):
        read_frame_maps(path, 1)
    path.write_bytes(b"no zip file")
    with pytest.raises(InputError, match="no readable maps"):
        read_frame_maps(path, 1)
    write_frame_maps(path, maps())
    with pytest.raises(InputError, match="frame 4 of sweep 0"):
        read_frame_maps(path, 2)[0][4]
    data = bytearray(path.read_bytes())
    data[60:100] = bytes(40)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="frame 3 of sweep 0"):
        read_frame_maps(path, 2)[0][3]


def test_a_file_that_could_not_be_finished_is_not_there(tmp_path: Path) -> None:
    def broken():
        yield maps()[0]
        raise InputError("frame 4", "this", "that", "mend it")

    with pytest.raises(InputError):
        write_frame_maps(tmp_path / "m.npz", broken())
    assert not list(tmp_path.iterdir())


def test_planes_make_the_same_file_as_a_volume(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((4, 3, 5)).astype(np.float32)
    grid = Grid((5, 3, 4), (0.5, 1.0, 2.0), np.array([1.0, 2.0, 3.0]), np.eye(3))
    write_volume(tmp_path / "a.mha", Volume(array, grid))
    write_planes(tmp_path / "b.mha", grid, array.dtype, iter(array))
    assert (tmp_path / "a.mha").read_bytes() == (tmp_path / "b.mha").read_bytes()
    np.testing.assert_array_equal(read_volume(tmp_path / "b.mha").array, array)
