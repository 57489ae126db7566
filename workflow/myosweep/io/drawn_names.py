"""What annotators typed as names of objects and segments, and which structures they mean."""

from __future__ import annotations

from collections.abc import Mapping

from myosweep.errors import InputError

# In `contour_names`: an object that draws nothing. Its contours say that a frame was looked at.
BACKGROUND_NAME = "background"


def plain(name: str) -> str:
    """A name without regard to case and to blanks around it."""
    return " ".join(name.split()).casefold()


def meanings(structures: Mapping[str, int], names: Mapping[str, str]) -> dict[str, str]:
    """Plain names to structures or "background": the setting's, and before it the structures' own.

    Raises
    ------
    InputError
        A name means no structure.
    """
    for typed, name in names.items():
        if name not in structures and name != BACKGROUND_NAME:
            raise InputError(
                f"configuration, key recordings.contour_names.{typed}",
                f"{name}, which is no structure",
                f"one of {', '.join(structures)}, or {BACKGROUND_NAME}",
                "correct the name, or add it to the setting `structures`",
            )
    return {plain(typed): name for typed, name in names.items()} | {plain(name): name for name in structures}
