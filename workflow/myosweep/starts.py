"""From which network a training starts (the setting `start_from`), and whether it may.

Read whenever the workflow is planned, so it imports nothing heavy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from myosweep.errors import InputError, InputErrors

RESULTS = PurePath("results", "train")
# How much a network has seen of a case: what it learned from, what chose its weights, nothing.
_SEEN = ("train", "validation")


def source_of(start_from: str, training: str, made: Collection[str], where: str) -> str:
    """The folder of the network from which a training starts.

    Parameters
    ----------
    start_from
        A network's folder, or that of a model, in which the training's own fold and structure are looked for.
    training
        Its folder below `results/train`: a model, and its fold and structure if there are any.
    made
        All trainings of this run.
    where
        The setting, for errors.

    Raises
    ------
    InputError
        There is no network, neither on disk nor among those that this run trains.
    """
    folder = PurePath(os.path.normpath(start_from))
    own = os.path.relpath(folder, RESULTS)
    if not own.startswith(os.pardir):
        folder = RESULTS / own
    parts = PurePath(training).parts[1:]
    fold = [part for part in parts[:1] if part.startswith("fold")]
    beside = [folder.parent.joinpath(*fold, folder.name)] if fold else []
    inside = [folder.joinpath(*parts), folder.joinpath(*parts[-1:]), folder.joinpath(*fold)]
    tried = list(dict.fromkeys([*inside, *beside, folder]))
    for place in tried:
        if trained_here(place.as_posix()) in made or Path(place, "model.json").is_file():
            return place.as_posix()
    raise InputError(
        where,
        f"{start_from}, where no network lies (looked for in {', '.join(map(str, tried))}, from "
        f"{os.getcwd()})",
        "a folder with weights.safetensors and model.json, or one that a model of segmentation.models gets",
        "correct the path, or list the source under segmentation.models",
    )


def trained_here(folder: str) -> str:
    """The training below `results/train` whose folder it is; "" elsewhere."""
    path = PurePath(folder)
    return path.relative_to(RESULTS).as_posix() if path.is_relative_to(RESULTS) else ""


def check_circles(sources: Mapping[str, str], where: Mapping[str, str]) -> None:
    """Check that no training starts from itself, over however many others.

    Parameters
    ----------
    sources
        Training to the folder from which it starts.
    where
        Training to its setting, for errors.

    Raises
    ------
    InputErrors
        One problem for each circle.
    """
    problems = []
    told: set[str] = set()
    for training in sources:
        way = [training]
        while (following := trained_here(sources.get(way[-1], ""))) and following not in way:
            way.append(following)
        if following == training and not told.intersection(way):
            told.update(way)
            problems.append(
                InputError(
                    where[training],
                    f"{' from '.join([*way, training])}: a network that starts from itself",
                    "a network that is trained before",
                    "give what starts from another a name of its own under segmentation.variants, and the "
                    "setting start_from there",
                )
            )
    if problems:
        raise InputErrors(problems)


def seen_by(description: Mapping[str, Any]) -> dict[str, list[str]]:
    """By split the participants that a network has seen, it or those that it started from (model.json)."""
    started = description.get("started_from") or {}
    both = [description.get("participants", {}), started.get("participants", {})]
    return {split: sorted({name for each in both for name in each.get(split, ())}) for split in _SEEN}


def check_source(
    description: Mapping[str, Any],
    where: str,
    splits: Mapping[str, str],
    *,
    network: str,
    channels: Sequence[str],
    position: bool,
    spacing_mm: float | Sequence[float],
) -> None:
    """Check that a source is the same network, sees the same, and has not seen who is held out.

    Parameters
    ----------
    description
        The source's model.json.
    where
        The source, for errors.
    splits
        Participant to split, of the training that starts from it.
    network, channels, position, spacing_mm
        Of that training.

    Raises
    ------
    InputError
        It is another network, its channels, position or spacing differ, or it has learned from somebody who
        validates or is tested here, or chosen its weights by somebody who is tested: errors on cases that
        pass for new would be those of cases that the network knows.
    """
    found = _seeing(description)
    wanted = {
        "network": network,
        "channels": list(channels),
        "position": position,
        "spacing_mm": _edges(spacing_mm),
    }
    for name, value in wanted.items():
        if found[name] != value:
            raise InputError(
                where,
                f"{name} {found[name]}",
                f"{value}, as in the training that starts from it",
                f"give both the same {name}, or leave start_from out",
            )
    _check_unseen(seen_by(description), splits, where)


def _seeing(description: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "network": description.get("network"),
        "channels": description.get("channels"),
        "position": description.get("training_settings", {}).get("position"),
        "spacing_mm": _edges(description.get("spacing_mm")),
    }


def _edges(spacing_mm: Any) -> Any:
    if isinstance(spacing_mm, int | float):
        return [float(spacing_mm)] * 3
    return [float(edge) for edge in spacing_mm or ()]


def _check_unseen(seen: Mapping[str, Sequence[str]], splits: Mapping[str, str], where: str) -> None:
    less_seen = {"train": ("validation", "test", ""), "validation": ("test", "")}
    leaked = [
        (name, split)
        for split in _SEEN
        for name in seen[split]
        if splits.get(name, "train") in less_seen[split]
    ]
    if leaked:
        name, split = leaked[0]
        more = f" and {len(leaked) - 1} more" if len(leaked) > 1 else ""
        raise InputError(
            where,
            f"a network that has seen {name}{more} (its split: {split}), held out here "
            f"({splits[name] or 'no split'})",
            "a source that has not seen who validates or is tested",
            f"give {name} the split {split}, or start from another network; where {name} is somebody else of "
            "that name, write another name into the column participant",
        )


def _check_kinds(values: Mapping[str, Any]) -> None:
    """Raise ValueError unless what is there of what planning looks at is of the right kind."""
    kinds = {"structures": dict, "channels": list, "network_settings": dict, "training_settings": dict}
    for name, kind in kinds.items():
        if not isinstance(values.get(name, kind()), kind):
            raise ValueError(f"{name} cannot be {values[name]!r}")


def read_description(folder: str) -> dict[str, Any]:
    """A source's model.json as plain values, as far as `check_source` looks at them of the right kinds.

    Raises
    ------
    InputError
        It cannot be read.
    """
    path = Path(folder, "model.json")
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _check_kinds(values)
        _seeing(values)
        seen_by(values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            path,
            f"not a model's description ({error})",
            "a model.json as training writes it",
            "train the source again, or copy the whole folder again",
        ) from None
    return values
