"""Frames of a video file: any frame when asked for, always the same, without decoding all into memory.

The packets' times (no decoding) give the index of frames; a frame is reached from the keyframe before it.
Where a file has no complete times (some .avi and .mpg files), frames are counted by decoding from the start.
Needs PyAV (`pip install myosweep[video]`), which brings FFmpeg with it.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.image_frames import ImageSource, checked_index, checked_shape, grey

FORMATS = {
    ".avi": "avi",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp4": "mov",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".wmv": "asf",
}
KEPT_FRAMES = 8
# So many frames are decoded to see whether the packets' times are the frames'.
COMPARED_FRAMES = 40


@dataclass(frozen=True)
class _Index:
    """Where the frames are: times in units of the stream (None: counted from the start), and keyframes."""

    count: int
    stamps: tuple[int, ...] | None
    keys: tuple[int, ...]


class VideoFrames:
    """Frames of a video's first picture stream."""

    def __init__(self, path: Path, index: _Index, rows: int, columns: int) -> None:
        self._path = path
        self._index = index
        self._size = (rows, columns)
        self._places = {stamp: place for place, stamp in enumerate(index.stamps or ())}
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._container: Any = None
        self._decoded: Iterator[tuple[int | None, Any]] = iter(())
        self._next = -1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return self._index.count, *self._size

    def __len__(self) -> int:
        return self._index.count

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        wanted = checked_index(index, self._index.count)
        if wanted in self._kept:
            self._kept.move_to_end(wanted)
        else:
            self._kept[wanted] = self._read(wanted)
            if len(self._kept) > KEPT_FRAMES:
                self._kept.popitem(last=False)
        return self._kept[wanted].copy()

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        container, self._container, self._next = self._container, None, -1
        self._decoded = iter(())
        if container is not None:
            container.close()

    def __del__(self) -> None:
        if getattr(self, "_container", None) is not None:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "index": self._index, "size": self._size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], state["index"], *state["size"])  # type: ignore[misc]

    def _read(self, wanted: int) -> NDArray[np.uint8]:
        try:
            for start in self._starts(wanted):
                if start is not None:
                    self._go_to(start)
                picture = self._forward(wanted)
                if picture is not None:
                    return self._checked(wanted, picture)
        except InputError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise self._unreadable(wanted, str(error)) from None
        self.close()
        raise self._unreadable(wanted, "the picture does not come when its time comes")

    def _starts(self, wanted: int) -> list[int | None]:
        """Frames to decode from, the nearest first: where the decoder is (None), keyframes, the beginning."""
        place = bisect.bisect_right(self._index.keys, wanted) - 1
        keys = [self._index.keys[place - back] for back in (0, 1) if place - back >= 0]
        here = 0 <= self._next <= wanted and (not keys or keys[0] <= self._next)
        starts: list[int | None] = [None] if here else []
        if self._index.stamps is not None:
            starts += [key for key in keys if key > 0]
        return [*starts, 0]

    def _go_to(self, start: int) -> None:
        if start == 0 or self._container is None:
            self.close()
            self._container = _open(self._path)
        stream = self._container.streams.video[0]
        if start > 0 and self._index.stamps is not None:
            self._container.seek(self._index.stamps[start], stream=stream, backward=True, any_frame=False)
        pictures = self._container.decode(stream)
        if self._index.stamps is None:
            self._decoded = iter(enumerate(pictures))
        else:
            # Not through self: in a circle of references the file would stay open until it is collected.
            places = self._places
            self._decoded = ((places.get(picture.pts), picture) for picture in pictures)
        self._next = start

    def _forward(self, wanted: int) -> Any:
        """The picture that is wanted; None where the decoder has come past it."""
        for place, picture in self._decoded:
            if place is None:
                continue
            self._next = place + 1
            if place == wanted:
                # What follows a seek may lack what it refers to; the beginning never does.
                return None if getattr(picture, "is_corrupt", False) else picture
            if place > wanted:
                return None
        return None

    def _checked(self, wanted: int, picture: Any) -> NDArray[np.uint8]:
        frame = _grey(picture)
        if frame.shape != self._size:
            raise InputError(
                f"{self._path}, frame {wanted}",
                f"{frame.shape[1]} x {frame.shape[0]} pixels",
                f"{self._size[1]} x {self._size[0]} pixels, as before",
                "cut the video where the size changes",
            )
        return frame

    def _unreadable(self, frame: int, what: str) -> InputError:
        return InputError(
            f"{self._path}, frame {frame}", f"no picture ({what})"[:300], "a whole video", "export it again"
        )


def open_video(path: Path) -> ImageSource:
    """Frames and times of a video; times count from the first frame.

    Raises
    ------
    InputError
        PyAV is not there; the file is no video, is damaged, or has pictures of more than 8 bits.
    """
    container = _open(path)
    try:
        streams = container.streams.video
        if not streams:
            raise InputError(path, "no pictures", "a video", "correct the column `path`")
        stream = streams[0]
        _, rows, columns = checked_shape(path, 1, stream.height, stream.width)
        if stream.format is not None and max(part.bits for part in stream.format.components) > 8:
            raise InputError(
                path,
                f"pictures with more than 8 bits ({stream.format.name})",
                "8-bit pictures",
                "export the video with 8 bits",
            )
        base = stream.time_base
        index, times = _by_packets(container, stream)
    except InputError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None
    finally:
        container.close()
    try:
        if index is None or not _agree(path, index):
            index, times = _by_decoding(path)
    except InputError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None
    if index.stamps is not None:
        assert base is not None
        times = np.array([float((stamp - index.stamps[0]) * base) for stamp in index.stamps])
    checked_shape(path, index.count, rows, columns)
    notes = () if np.isfinite(times).all() else ("the video has no times of its frames",)
    return ImageSource(VideoFrames(path, index, rows, columns), times, notes=notes)


def _open(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise InputError(
            path,
            "a video, but PyAV is not installed",
            "the Python package av, which reads videos",
            "install it: pip install 'myosweep[video]' (or pip install av), or export the frames as PNG",
        ) from None
    if not path.is_file():
        raise InputError(path, "no such file", "a recording", "correct the path")
    try:
        # The suffix says what it is: a playlist that calls itself .mp4 must not lead to other files.
        return av.open(str(path.absolute()), format=_format(path))
    except Exception as error:
        raise _damaged(path, error) from None


def _format(path: Path) -> str:
    """FFmpeg's name of what a suffix promises; .mpg may be a transport stream."""
    name = FORMATS[path.suffix.lower()]
    if name == "mpeg":
        with path.open("rb") as file:
            head = file.read(189)
        if head[:1] == head[188:] == b"G":
            return "mpegts"
    return name


def _by_packets(container: Any, stream: Any) -> tuple[_Index | None, NDArray[np.float64]]:
    stamps, keys, usable = [], [], True
    for packet in container.demux(stream):
        if packet.size == 0 or getattr(packet, "is_discard", False):
            continue
        if packet.pts is None:
            usable = False
            break
        stamps.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    order = sorted(stamps)
    if not usable or not order or len(set(order)) < len(order):
        return None, np.empty(0)
    places = {stamp: place for place, stamp in enumerate(order)}
    return _Index(len(order), tuple(order), tuple(sorted(places[key] for key in keys))), np.empty(0)


def _agree(path: Path, index: _Index) -> bool:
    """Whether the first pictures come at the packets' times."""
    assert index.stamps is not None
    container = _open(path)
    try:
        for place, picture in enumerate(container.decode(video=0)):
            if place >= min(COMPARED_FRAMES, index.count) or picture.pts != index.stamps[place]:
                return place >= min(COMPARED_FRAMES, index.count)
            found = place + 1
        return found == index.count
    finally:
        container.close()


def _by_decoding(path: Path) -> tuple[_Index, NDArray[np.float64]]:
    container = _open(path)
    try:
        rate = container.streams.video[0].average_rate
        times = [picture.time for picture in container.decode(video=0)]
    finally:
        container.close()
    known = np.array([np.nan if time is None else time for time in times], np.float64)
    if not (np.isfinite(known).all() and (np.diff(known) > 0).all()):
        known = np.arange(len(times)) / float(rate) if rate else np.full(len(times), np.nan)
    elif len(known):
        known -= known[0]
    return _Index(len(times), None, ()), known


def _grey(picture: Any) -> NDArray[np.uint8]:
    name = picture.format.name
    if name in ("gray", "gray8"):
        return np.array(picture.to_ndarray(), np.uint8)
    return grey(picture.to_ndarray(format="rgb24"))


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(path, f"no readable video ({error})"[:300], "a whole video", "copy or export it again")
