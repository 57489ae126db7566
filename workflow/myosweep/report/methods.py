"""The methods of a run in words, built from its settings: text that can go into a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from myosweep.models import model_of
from myosweep.settings import known_networks

AUTOMATIC = "voxels as wide as the median distance of neighbouring frames, but 1.5 to 3 pixels"
INTERPOLATION = {
    "zoi": "the smaller of two annotated masks stands in every frame between them (zero-order interpolation)",
    "nearest": "every frame has the mask of the annotated frame that is nearer along the sweep",
    "shape": "signed distances to the drawn outlines were interpolated between annotated frames, bent by "
    "those beyond (shape-based interpolation, Raya and Udupa 1990)",
    "shape_linear": "signed distances to the drawn outlines were interpolated linearly between annotated "
    "frames (shape-based interpolation, Raya and Udupa 1990)",
    "fill_between_slices": "morphological contour interpolation between annotated frames (ITK)",
    "surface": "one smooth surface was fitted to the outlines of all sweeps",
    "grow_from_seeds": "regions were grown from the annotated masks through the volume (GrowCut)",
    "watershed": "regions were flooded from the annotated masks over the volume's gradient (watershed)",
}


def methods_text(settings: Mapping[str, Any]) -> list[str]:
    """Paragraphs that say what was done.

    Parameters
    ----------
    settings
        As in the configuration; of a part that is not given nothing is said.
    """
    parts = (_data, _compounding, _registration, _labels, _confidence, _segmentation, _measures)
    return [text for text in (part(settings) for part in parts) if text]


def _data(settings: Mapping[str, Any]) -> str:
    structures = list(settings.get("structures") or {})
    text = f"The volumes of {_list(structures)} were measured. " if structures else ""
    if "simulate" in settings:
        text += "The recordings are simulated: a phantom with known volumes, not people. "
    world = settings.get("world")
    if world == "auto":
        text += (
            "Positions are relative to the reference tool where a recording has one, else to the tracker. "
        )
    elif world:
        text += f"Positions are relative to {world}. "
    return (text + _poses(settings.get("recordings") or {})).strip() if text else ""


def _poses(part: Mapping[str, Any]) -> str:
    """What became of poses, by the settings `recordings`."""
    text = "Frames whose pose was invalid were left out"
    kept = part.get("suspect_poses") == "keep"
    text += "; those whose pose was frozen, jumped or came out of order were "
    text += "kept. " if kept else "left out, too. "
    offset = part.get("time_offset_s")
    if offset == "auto":
        text += (
            "The offset between the clocks of poses and images was estimated for each recording that has "
            "both from the motion in them. "
        )
    elif offset:
        text += f"To the times of poses that have a clock of their own {offset} s were added. "
    if part.get("pose_smoothing_s"):
        text += f"Poses were smoothed over time by a Gaussian of {part['pose_smoothing_s']} s. "
    return text


def _compounding(settings: Mapping[str, Any]) -> str:
    part = settings.get("compounding")
    if not part:
        return ""
    axes = {
        "probe": "a grid turned with the probe (x lateral, y along the beam, z along the sweep)",
        "world": "a grid with the axes of the world",
    }.get(str(part.get("axes")), "a regular grid")
    spacing = part.get("spacing_mm")
    voxel = AUTOMATIC if spacing in (None, "auto") else f"voxels of {spacing} mm"
    method = str(part.get("method"))
    how = {
        "between_frames": "each voxel being looked up in the two frames of a sweep on either side of it and "
        "interpolated along the probe's way (Coupé et al. 2005)",
        "voxel_nearest": "each voxel taking the nearest pixel",
        "trilinear": "by trilinear distribution of every pixel to the eight voxels around it",
        "nearest": "by giving every pixel to the nearest voxel",
        "squared_distance": "pixels being weighted by their squared distance",
        "gaussian": "pixels being weighted by a Gaussian of their distance",
    }.get(method, f"by the method {method}")
    text = f"The frames of each acquisition were compounded on {axes} with {voxel}, {how}"
    if method != "voxel_nearest":
        text += "; " + {
            "mean": "what several frames said of one voxel was averaged",
            "median": "of several frames in one voxel the median was taken",
            "maximum": "of several frames in one voxel the brightest was taken",
            "first": "of several frames in one voxel the first was taken",
            "latest": "of several frames in one voxel the latest was taken",
        }.get(str(part.get("combine")), f"several frames were combined by {part.get('combine')}")
        if part.get("blending") in ("feather", "confidence") and part.get("combine") == "mean":
            text += ", with weights that fall towards the edges of the frames"
        if part.get("blending") == "confidence":
            text += " and with the confidence of each pixel"
    fill = {True: "between", False: "none"}.get(part.get("fill"), part.get("fill"))
    reach = part.get("fill_reach_mm")
    within = f" up to {reach} mm from data" if isinstance(reach, int | float) else ""
    if fill == "none":
        text += ". Voxels that no pixel reached were left unknown"
    elif fill in ("gaussian", "nearest", "distance"):
        by = {
            "gaussian": "by a Gaussian mean of",
            "nearest": "with the nearest of",
            "distance": "by distance from",
        }
        text += (
            f". Swept voxels without a pixel were filled{within} {by[fill]} the known voxels around, and are "
            "marked with their distance from data"
        )
    elif fill:
        text += (
            f". Voxels between neighbouring frames of a sweep were filled{within} and are marked with their "
            "distance from data"
        )
    area = part.get("image_area")
    if area == "auto":
        text += ". The image area within the frame was found from the pixels"
    elif area == "calibration":
        text += ". The image area within the frame is the calibration's clip rectangle and fan"
    elif isinstance(area, Mapping):
        text += (
            f". The image area is a fan from {area['angles_degrees'][0]} to {area['angles_degrees'][1]} "
            f"degrees around column {area['apex'][0]} and row {area['apex'][1]}, from {area['radii'][0]} to "
            f"{area['radii'][1]} pixels away"
        )
    elif isinstance(area, list | tuple):
        text += f". The image area is {area[2]} x {area[3]} pixels from column {area[0]} and row {area[1]} on"
    return text + "."


_ENGINES = {
    "joint_histogram": " (Mattes et al. 2003, maximised by L-BFGS)",
    "simpleitk": " (SimpleITK, Lowekamp et al. 2013)",
    "elastix": " (elastix, Klein et al. 2010)",
}


def _registration(settings: Mapping[str, Any]) -> str:
    part = settings.get("registration")
    if not part or not part.get("base_acquisition"):
        return ""
    what = {"mutual_information": "mutual information", "correlation": "normalised correlation"}
    method = what.get(str(part.get("method")), str(part.get("method")))
    engine = _ENGINES.get(str(part.get("engine")), "")
    others = f"Acquisitions other than {part['base_acquisition']}"
    text = f"{others} were registered to it rigidly by {method}{engine}"
    if part.get("spacing_mm"):
        text += f" at {part['spacing_mm']} mm"
    return text + ". Structures of an acquisition whose registration was refused stay unknown."


def _labels(settings: Mapping[str, Any]) -> str:
    part = settings.get("labels")
    if not part:
        return ""
    methods = part.get("interpolation") or []
    ways = [f"labels_{name}: {INTERPOLATION.get(name, 'see the documentation')}" for name in methods]
    text = "Dense labels were made from the annotated frames"
    text += f" in {_count(len(ways))} ({'; '.join(ways)}). " if ways else ". "
    width = part.get("smoothing_voxels")
    if width and width > 1:
        where = "in three dimensions" if part.get("smooth_3d") else "within slices"
        kind = " (Gaussian, corrected to keep curved borders)" if part.get("smoothing") == "twicing" else ""
        text += f"They were smoothed {where} over {width} voxels{kind}. "
    if part.get("use"):
        text += f"Training and tables of one source take labels_{part['use']}. "
    return text.strip()


def _confidence(settings: Mapping[str, Any]) -> str:
    part = settings.get("confidence")
    if not part:
        return ""
    where = {
        "slices": "of each z slice of the volumes",
        "frames": "of each recorded frame, along its beams, and compounded as the frames were",
    }.get(str(part.get("where")), "")
    if part.get("method") == "directed":
        made = f"row by row (Hung et al. 2020; alpha {part.get('alpha')})"
    else:
        sink = {
            "all": "the far end of every beam",
            "middle": "the far end of the middle beam",
            "minimum": "the darkest far end of a beam",
            "everywhere": "absorption at every pixel",
        }.get(str(part.get("sink")), "")
        made = (
            f"by random walks (Karamalis et al. 2012; alpha {part.get('alpha')}, beta {part.get('beta')}, "
            f"gamma {part.get('gamma')}" + (f"; the walk ends in vain at {sink})" if sink else ")")
        )
    scaled = {
        "image": " Grey values were scaled by the range of each image.",
        "fixed": " Grey values were scaled alike in all images, so that maps can be compared.",
    }.get(str(part.get("normalisation")), "")
    return f"Confidence maps were computed {where}, {made}.{scaled}"


def _segmentation(settings: Mapping[str, Any]) -> str:
    part = settings.get("segmentation")
    if not part or not part.get("models"):
        return "No network was trained or applied." if part is not None else ""
    pretrained = part.get("pretrained") or {}
    trained = [name for name in part["models"] if name not in pretrained]
    taken = [name for name in part["models"] if name in pretrained]
    text = ""
    were = "was" if len(trained) == 1 else "were"
    folds = part.get("folds")
    if trained and folds:
        text += (
            f"{_list(trained)} {were} trained {folds} times (cross-validation): participants were dealt to "
            f"{folds} folds, and each case was segmented by the network that had not seen its participant. "
        )
    elif trained:
        text += (
            f"{_list(trained)} {were} trained on the cases of the training split; accuracy is stated for "
            "test cases only. "
        )
    text += _trainings(part, trained)
    if taken:
        text += f"{_list(taken)} {'was' if len(taken) == 1 else 'were'} taken as given, without training. "
    if part.get("channels"):
        text += f"Networks saw {_list(list(part['channels']))}. "
    return text.strip()


def _trainings(part: Mapping[str, Any], names: list[str]) -> str:
    """How each model was trained, where the settings of all networks are there."""
    networks = known_networks()
    if not {"variants", "channels", *networks} <= part.keys():
        return ""
    text = ""
    for name in names:
        model = model_of(name, part, networks)
        if model is None:
            continue
        own = model.settings
        spacing = own["spacing_mm"]
        edges = [spacing] * 3 if isinstance(spacing, int | float) else spacing
        epochs = f"{own['epochs']} epochs ({own['optimizer']}, learning rate {own['learning_rate']})"
        ways = [
            f"voxels of {_product(edges)} mm",
            f"{epochs}, the weights of the last"
            if own["keep"] == "last"
            else f"at most {epochs}, the weights of the best on the validation split",
        ]
        if own.get("patch"):
            ways.append(f"seen in patches of {_product(own['patch'])} voxels along z, y and x")
        if own.get("start_from"):
            ways.append(f"begun with the weights in {own['start_from']}")
        text += f"{name}: {', '.join(ways)}. "
    return text


def _product(numbers: Iterable[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)


def _measures(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    return (
        "A volume is the number of a structure's voxels times a voxel's volume. Measured and reference "
        "volumes are compared by bias and limits of agreement (Bland and Altman 1986), masks by overlap and "
        "surface distances as defined below. Unknown voxels are left out. References were never trained on."
    )


def _list(names: list[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def _count(number: int) -> str:
    return "one way" if number == 1 else f"{ {2: 'two', 3: 'three', 4: 'four'}.get(number, number) } ways"
