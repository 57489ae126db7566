"""Models that were trained elsewhere (`segmentation.pretrained`), as the workflow is planned.

Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from myosweep.errors import InputError
from myosweep.models import members_of, model_folders
from myosweep.starts import read_description


def problems_of_given(
    folder: str, where: str, structures: Mapping[str, int], channels: Sequence[str]
) -> Iterator[InputError]:
    """What of a model does not fit, as far as its model.json files tell; prediction checks its weights.

    Parameters
    ----------
    folder
        Of a network, of one network for each structure, or of folds of either.
    where
        The setting that names it, for errors.
    structures, channels
        As configured.
    """
    folders = model_folders(folder, structures)
    if not (folders[0] / "model.json").is_file():
        yield InputError(
            where,
            f"{folder}, where no network lies (model.json is looked for in it, in its folders "
            f"{', '.join(structures)}, and in fold1, fold2, ...)",
            "a folder with weights.safetensors and model.json",
            "correct the path",
        )
        return
    for member in members_of(folders):
        try:
            told = [read_description(str(each)) for each in member]
        except InputError as problem:
            yield problem
            return
        yield from misfits(told, where, structures, channels, f"{', '.join(map(str, member))}: ")


def misfits(
    told: Sequence[Mapping[str, Any]],
    where: str,
    structures: Mapping[str, int],
    channels: Sequence[str],
    named: str = "",
) -> Iterator[InputError]:
    """Where the structures or the channels of a model are not those that are configured.

    Parameters
    ----------
    told
        What model.json says, of all networks of the model.
    where, named
        The model, or the setting that names it; the error's text then begins with `named`.
    structures, channels
        As configured.
    """
    found = [pair for each in told for pair in dict(each.get("structures") or {}).items()]
    if sorted(found, key=str) != sorted(structures.items(), key=str):
        values = ", ".join(f"{key}: {value}" for key, value in found)
        yield InputError(
            where,
            f"{named}a model for the structures {values or 'none'}",
            f"{', '.join(f'{key}: {value}' for key, value in structures.items())}, as configured",
            "give the model's structures and values under structures, or train a model for yours",
        )
    other = [each.get("channels") or [] for each in told if each.get("channels") != list(channels)]
    if other:
        listed = ", ".join(map(str, other[0]))
        yield InputError(
            where,
            f"{named}a model for the channels {listed}",
            f"{', '.join(channels)}, as configured",
            f"write `segmentation: {{channels: [{listed}]}}`, or train a model for yours",
        )
