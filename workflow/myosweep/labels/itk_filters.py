"""Filters of ITK's remote modules, without loading the rest of ITK.

`itk.MorphologicalContourInterpolator` loads every module that it depends on, 10 s of CPU; the wrapped classes
alone load in one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUFFIX = {np.dtype(np.uint8): "IUC3", np.dtype(np.int16): "ISS3"}


def itk_filter(name: str, *types: type[np.generic]) -> Any:
    """A new filter on volumes of the given types of voxels, on one thread."""
    wrapped = getattr(
        import_module(f"itk.{name}Python"), name + "".join(_SUFFIX[np.dtype(dtype)] for dtype in types)
    )
    made = wrapped.New()
    made.SetNumberOfWorkUnits(1)
    return made


def to_itk(array: NDArray[Any], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Any:
    """An image of (z, y, x); spacing along (x, y, z).

    The values live as long as the object that is returned: hold it until the filter has run.
    """
    image = _buffer(array.dtype).GetImageViewFromArray(np.ascontiguousarray(array))
    image.SetSpacing(spacing)
    return image


def from_itk(image: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """A copy of an image's values, (z, y, x)."""
    made: NDArray[Any] = np.array(_buffer(np.dtype(dtype)).GetArrayViewFromImage(image))
    return made


def _buffer(dtype: np.dtype[Any]) -> Any:
    return getattr(import_module("itk.itkPyBufferPython"), f"itkPyBuffer{_SUFFIX[np.dtype(dtype)]}")
