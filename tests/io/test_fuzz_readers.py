"""Damaged recordings end in a sweep whose frames can be read or in the library's own error, nothing else."""

from __future__ import annotations

import contextlib
import re
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.io.options import RecordingOptions
from myosweep.io.recordings import read_sweep, recording_files
from sample_recordings import SAMPLES, Sample

# Small files: what a reader does with them takes no longer and no more memory, whatever they say.
LONGEST_SECONDS = 3.0
LARGEST_BYTES = 300 << 20
MOST_FRAMES_READ = 50

HOSTILE = [
    b"",
    b"-1",
    b"0",
    b"1",
    b"2147483648",
    b"99999999999999999999",
    b"1e400",
    b"nan",
    b"inf",
    b"-inf",
    b"1 1 1",
    b"4 4 4 4 4",
    b"7 9 1000000",
    b"1000000000 1 6",
    b"\xff\xfe\x00",
    b"\xc2\xb2",
    b"../../etc/passwd",
    b"/etc/passwd",
    b"/dev/zero",
    b".",
    b"LIST",
    b"%s%s%n",
    b"f%09d.raw 0 999999999 1",
    b"a" * 5000,
    b"XX",
    b"NM",
    b"True",
    b"False",
    b"gzip",
    b"9" * 5000,
]


class Damage:
    """One change to a file's bytes."""

    def __init__(self, kind: str, at: float, value: bytes, span: float) -> None:
        self.kind, self.at, self.value, self.span = kind, at, value, span

    def __repr__(self) -> str:
        return f"Damage({self.kind!r}, {self.at!r}, {self.value!r}, {self.span!r})"

    def apply(self, data: bytes) -> bytes:
        at = int(self.at * len(data))
        span = int(self.span * 40)
        if self.kind == "flip" and data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ (1 << span % 8)]) + data[at + 1 :]
        if self.kind == "cut":
            return data[:at] + data[at + span :]
        if self.kind == "truncate":
            return data[:at]
        if self.kind == "insert":
            return data[:at] + self.value + data[at:]
        if self.kind == "repeat":
            return data[:at] + data[at : at + span] * 3 + data[at + span :]
        # Another value for one of the fields of a header, or one of the numbers of a line of text.
        expression = rb"(?<=[=:] )[^\r\n]+" if self.kind == "field" else rb"(?<![\w.])-?[0-9][0-9.e+-]*"
        found = list(re.finditer(expression, data[: 1 << 16]))
        if not found:
            return data
        match = found[min(int(self.at * len(found)), len(found) - 1)]
        return data[: match.start()] + self.value + data[match.end() :]


KINDS = ("flip", "cut", "truncate", "insert", "repeat", "field", "number")
DAMAGE = st.builds(
    Damage,
    st.sampled_from(KINDS),
    st.floats(0, 1),
    st.sampled_from(HOSTILE) | st.binary(max_size=20),
    st.floats(0, 1),
)
OPTIONS = st.sampled_from(
    [RecordingOptions(), RecordingOptions(suspect_poses="keep"), RecordingOptions(pose_smoothing_s=0.2)]
)


@pytest.fixture(scope="module", params=list(SAMPLES))
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sample, dict[Path, bytes]]:
    found = SAMPLES[request.param](tmp_path_factory.mktemp("sample"))
    return found, {file: file.read_bytes() for file in found.files}


def check(sample: Sample, options: RecordingOptions) -> None:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(InputError):
        read(sample, options)
    assert time.process_time() - began < LONGEST_SECONDS
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < LARGEST_BYTES


def read(sample: Sample, options: RecordingOptions | None = None) -> None:
    """Read everything of a recording, and look whether it is consistent."""
    assert recording_files(sample.path)
    sweep = read_sweep(sample.path, sample.calibration, options=options)
    count, rows, columns = sweep.frames.shape
    assert sweep.image_to_world.shape == (count, 4, 4)
    assert len(sweep.problems) == count == len(sweep.timestamps)
    assert np.isfinite(sweep.image_to_world[sweep.valid]).all()
    assert sweep.valid.any()
    for frame in range(min(count, MOST_FRAMES_READ)):
        pixels = sweep.frames[frame]
        assert pixels.shape == (rows, columns)
        assert pixels.dtype == np.uint8
        int(pixels.max())


def damage(
    sample: tuple[Sample, dict[Path, bytes]], which: float, changes: list[Damage], options: RecordingOptions
) -> None:
    recording, contents = sample
    file = recording.files[min(int(which * len(recording.files)), len(recording.files) - 1)]
    data = contents[file]
    for change in changes:
        data = change.apply(data)
    try:
        file.write_bytes(data)
        check(recording, options)
    finally:
        file.write_bytes(contents[file])


FEW = settings(
    max_examples=300,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
CHANGES = st.lists(DAMAGE, min_size=1, max_size=3)


def test_the_samples_are_sound(sample: tuple[Sample, dict[Path, bytes]]) -> None:
    sweep = read_sweep(sample[0].path, sample[0].calibration)
    assert sweep.valid.all()
    read(sample[0])


@FEW
@given(st.floats(0, 1), CHANGES, OPTIONS)
def test_damaged_recordings(
    sample: tuple[Sample, dict[Path, bytes]], which: float, changes: list[Damage], options: RecordingOptions
) -> None:
    damage(sample, which, changes, options)


@pytest.mark.slow
@settings(FEW, max_examples=5000)
@given(st.floats(0, 1), CHANGES, OPTIONS)
def test_many_more_damaged_recordings(
    sample: tuple[Sample, dict[Path, bytes]], which: float, changes: list[Damage], options: RecordingOptions
) -> None:
    damage(sample, which, changes, options)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_every_hostile_value_in_every_field(sample: tuple[Sample, dict[Path, bytes]], value: bytes) -> None:
    recording, contents = sample
    for file in recording.files:
        data = contents[file]
        fields = list(re.finditer(rb"(?m)^[^=:\r\n]*(?:[=:]=? ?)([^\r\n]+)", data[: 1 << 16]))
        # Of the fields of frames, those of one frame are enough.
        fields = [field for field in fields if b"Seq_Frame" not in field[0] or b"Frame0002" in field[0]][:60]
        try:
            for field in fields:
                file.write_bytes(data[: field.start(1)] + value + data[field.end(1) :])
                check(recording, RecordingOptions())
        finally:
            file.write_bytes(data)


def test_missing_files(sample: tuple[Sample, dict[Path, bytes]]) -> None:
    recording, contents = sample
    for file in recording.files:
        file.unlink()
        try:
            with pytest.raises(InputError):
                read(recording)
        finally:
            file.write_bytes(contents[file])
