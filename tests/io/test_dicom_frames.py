from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.dicom_frames import open_dicom
from myosweep.io.sweeps import Rectangle
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from sweep_writers import some_frames, write_dicom


def region(**changes: Any) -> Dataset:
    """A region of tissue as scanners describe it; 0.02 cm per pixel."""
    item = Dataset()
    values = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "RegionFlags": 0,
        "RegionLocationMinX0": 2,
        "RegionLocationMinY0": 1,
        "RegionLocationMaxX1": 11,
        "RegionLocationMaxY1": 8,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.02,
        "PhysicalDeltaY": 0.025,
        **changes,
    }
    for name, value in values.items():
        setattr(item, name, value)
    return item


@pytest.mark.parametrize("compress", ["", "rle"])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("rows", [10, 11])
def test_what_is_written_is_read(tmp_path: Path, compress: str, colour: bool, rows: int) -> None:
    frames = some_frames(5, rows, 13)
    stored = np.repeat(frames[..., None], 3, axis=3) if colour else frames
    source = open_dicom(write_dicom(tmp_path / "s.dcm", stored, compress))
    assert source.frames.shape == (5, rows, 13)
    for frame in (4, 0, 2, -1, 2):
        np.testing.assert_array_equal(source.frames[frame], frames[frame])
    assert np.isnan(source.times).all()


def test_a_single_frame(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "s.dcm", some_frames(1))
    np.testing.assert_array_equal(open_dicom(path).frames[0], some_frames(1)[0])


def test_jpeg_in_pieces(tmp_path: Path) -> None:
    smooth = np.stack([np.tile(np.arange(16) * 8 + 9 * frame, (16, 1)) for frame in range(4)]).astype(
        np.uint8
    )
    source = open_dicom(write_dicom(tmp_path / "s.dcm", smooth, "jpeg"))
    for frame in (3, 0, 2):
        # Grey levels that the format itself loses.
        np.testing.assert_allclose(source.frames[frame].astype(int), smooth[frame], atol=4)
    with pytest.raises(InputError, match="8 pieces"):
        open_dicom(write_dicom(tmp_path / "t.dcm", smooth, "jpeg", offsets=False))


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "s.dcm", some_frames(), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(open_dicom(path).frames[1], 255 - some_frames()[1])


def test_palettes(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        levels = (255 - np.arange(256)) * 257
        tables[f"{colour}PaletteColorLookupTableData"] = levels.astype("<u2").tobytes()
    path = write_dicom(tmp_path / "s.dcm", some_frames(), **tables)
    np.testing.assert_array_equal(open_dicom(path).frames[1], 255 - some_frames()[1])


@pytest.mark.parametrize(
    ("elements", "times"),
    [
        ({"FrameTime": "25.5"}, [0, 0.0255, 0.051]),
        ({"FrameTimeVector": [0, 20, 45]}, [0, 0.02, 0.065]),
        ({"FrameTimeVector": [5, 20, 45], "FrameTime": "1"}, [0, 0.02, 0.065]),
        ({"FrameTimeVector": [20, 45]}, [0, 0.02, 0.065]),
        ({"CineRate": 20}, [0, 0.05, 0.1]),
    ],
)
def test_times(tmp_path: Path, elements: dict[str, Any], times: list[float]) -> None:
    source = open_dicom(write_dicom(tmp_path / "s.dcm", some_frames(3), **elements))
    np.testing.assert_allclose(source.times, times, atol=1e-12)
    assert bool(source.notes) == ("CineRate" in elements)


def test_the_region_of_tissue(tmp_path: Path) -> None:
    doppler = region(RegionDataType=3)
    path = write_dicom(
        tmp_path / "s.dcm", some_frames(), SequenceOfUltrasoundRegions=Sequence([doppler, region()])
    )
    source = open_dicom(path)
    # Its far corner, origin plus size, is the last pixel.
    assert source.clip == Rectangle(2, 1, 9, 7)
    assert source.pixel_mm == pytest.approx((0.2, 0.25))
    for regions in (
        [region(), region()],
        [doppler],
        [region(RegionLocationMaxX1=14, PhysicalUnitsXDirection=4)],
    ):
        write_dicom(path, some_frames(), SequenceOfUltrasoundRegions=Sequence(regions))
        assert (open_dicom(path).clip, open_dicom(path).pixel_mm) == (None, None)


def test_nothing_of_the_patient_is_kept(tmp_path: Path) -> None:
    source = open_dicom(write_dicom(tmp_path / "s.dcm", some_frames()))
    assert "Nobody" not in str(source.frames._header)  # type: ignore[attr-defined]
    assert "Nobody" not in str(source)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        _ = open_dicom(path).frames[0]
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"NumberOfFrames": 7}, ["840 bytes", "980 bytes for 7 frames"]),
        ({"NumberOfFrames": 2**30}, ["frames"]),
        ({"NumberOfFrames": -1}, ["-1 frames"]),
        ({"Rows": 0}, ["0 pixels"]),
        ({"Columns": 60000}, ["60000"]),
        ({"BitsAllocated": 16, "BitsStored": 12}, ["12 bits in 16", "8 bits"]),
        ({"PixelRepresentation": 1}, ["signed"]),
        ({"PhotometricInterpretation": "HSV"}, ["HSV"]),
        ({"SamplesPerPixel": 3}, ["3 values per pixel"]),
        ({"FrameTime": "-1"}, ["FrameTime", "-1"]),
        ({"FrameTimeVector": [0, -20, 45, 1, 1, 1]}, ["FrameTimeVector", "-20"]),
        ({"FrameTimeVector": [0, 20]}, ["FrameTimeVector", "2 times", "6 frames"]),
    ],
)
def test_headers_that_cannot_be_are_refused(
    tmp_path: Path, elements: dict[str, Any], words: list[str]
) -> None:
    tracemalloc.start()
    refused(write_dicom(tmp_path / "s.dcm", some_frames(), **elements), "s.dcm", *words)
    assert tracemalloc.get_traced_memory()[1] < 5e7
    tracemalloc.stop()


def test_files_that_end_early_are_refused(tmp_path: Path) -> None:
    for compress in ("", "rle", "jpeg"):
        frames = some_frames(6, 16, 16)
        data = write_dicom(tmp_path / "s.dcm", frames, compress).read_bytes()
        for part in (10, 200, len(data) // 2, len(data) - 30):
            (tmp_path / "cut.dcm").write_bytes(data[:part])
            refused(tmp_path / "cut.dcm", "cut.dcm")
    refused(tmp_path / "none.dcm", "no such file")


def test_other_transfer_syntaxes_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "s.dcm", some_frames())
    data = path.read_bytes()
    for uid, words in (
        (b"1.2.840.10008.1.2.2", ["Big Endian"]),
        (b"1.2.840.10008.1.2.1.99", ["Deflated"]),
        (b"1.2.840.10008.1.2.4.102", ["video", ".mp4"]),
        (b"1.2.3.4.5.6", ["transfer syntax"]),
    ):
        old = re.search(rb"\x02\x00\x10\x00UI..1\.2\.840\.10008\.1\.2\.1\0", data, re.DOTALL)
        assert old
        uid += b"\0" * (len(uid) % 2)
        new = b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid
        (tmp_path / "t.dcm").write_bytes(data.replace(old[0], new))
        refused(tmp_path / "t.dcm", *words)
