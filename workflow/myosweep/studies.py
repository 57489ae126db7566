"""Studies that compare networks: their members, what each changes, and how long all of them train.

Every member of a study learns from the same cases for as many steps as the others. One step shows one network
one example: a whole limb, or a patch of it. A training has epochs x training cases x patches steps; it never
ends early, and where cases validate the best epoch's weights are kept. A step is one update of the weights,
but for `unet_s_r_clstm`, which updates once per task (segmentation, and reconstruction where it has that) for
each window of 16 slices of the example, and `ifssnet`, which updates twice, once for each annotated window
from which it propagates.

Sources: the comparison, Gonzalez Duque (thesis, 2024), II.2.4.1 and part III, chapter 2; `ablation_unet` and
`negative_labels`, Gonzalez Duque et al. (MICCAI 2020), tables 1 and 2; `ablation_ifssnet`, Al Chanti et al.
(2021) and thesis II.2.4.3.

Read whenever the workflow is planned, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from myosweep.errors import InputError
from myosweep.io.tables import Case
from myosweep.models import Model, Network

# Stands for the structure of the settings where a member's setting names one.
CHOSEN = "{structure}"


@dataclass(frozen=True)
class Member:
    """A network of a study.

    Attributes
    ----------
    name
        In the study's table.
    network
        Its name among the networks.
    preset
        One of the network's presets, "" for none.
    changes
        Settings besides, `CHOSEN` where one names the structure.
    """

    name: str
    network: str
    preset: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes
    ----------
    title
        As the report has it.
    members
        In the order of the table.
    one_structure
        Whether binary networks learn the structure of the settings alone.
    about
        What to know of the table, in words.
    """

    title: str
    members: tuple[Member, ...]
    one_structure: bool = False
    about: str = ""


@dataclass(frozen=True)
class Preset:
    """How large the trainings of all studies are.

    Attributes
    ----------
    epochs
        Of every training.
    common
        Settings of all networks, as far as a network has them.
    own
        Settings by network, which go before the common ones.
    """

    epochs: int
    common: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


# small: meant for less than an hour a study on two processors, also on those that do not compute with
# bfloat16. To segment the case that validates takes a network of patches as long as three epochs of five
# cases do, so it is not done after each. IFSS-Net keeps its own spacing and field, which are small enough:
# voxels of 3 mm alone cost the smallest muscle 1 % of its volume. Its many small convolutions gain next to
# nothing from bfloat16.
PRESETS: dict[str, Preset] = {
    "small": Preset(
        40,
        {
            "spacing_mm": (3.0, 3.0, 6.0),
            "patch": (32, 48, 48),
            "validation_interval": 5,
            "precision": "automatic",
            "threads": 1,
        },
        {
            "ifssnet": {"spacing_mm": (2.0, 2.0, 8.0), "precision": "float32"},
            "unetr": {"image_size": (32, 48, 48)},
        },
    ),
    "full": Preset(100),
}

GUIDED = (
    "ifssnet is no automatic method: it was given three neighbouring slices of each case's own labels (or "
    "as many as its window has), where the muscle is thick, and propagated them."
)

# A limb of 52 slices of 8 mm has less than a window of 3 at the source's 3.5 %, and both ways of spending it
# are then the same.
_ANNOTATED = {"annotated_percent": 12.0}
# Turned, shifted and bent volumes mix what is hidden of a slice with what its neighbours show.
_SLICES_STAY = {"move_probability": 0.0}


def _sparse(percent: int, negative_labels: str) -> Member:
    return Member(
        f"annotated_{percent}" + ("" if percent == 100 else f"_{negative_labels}"),
        "unet_s_r_clstm",
        "",
        {
            "sparse_structure": CHOSEN if percent < 100 else "",
            "annotated_percent": float(percent),
            "negative_labels": negative_labels,
            **_SLICES_STAY,
        },
    )


STUDIES: dict[str, Study] = {
    "comparison": Study(
        "All networks",
        tuple(
            Member(name, name)
            for name in (
                "unet",
                "vnet",
                "attention_unet",
                "unetr",
                "daf3d",
                "unet_s_r_clstm",
                "ifssnet",
            )
        ),
        about=GUIDED,
    ),
    "ablation_unet": Study(
        "Parts of UNet-S-R-CLSTM",
        (
            *(Member(preset, "unet_s_r_clstm", preset) for preset in ("unet", "unet_s", "unet_s_r")),
            Member("unet_s_r_clstm", "unet_s_r_clstm"),
        ),
        about="From a plain U-Net on: separable convolutions (s), the second decoder, which reconstructs the "
        "image (r), and the memory along the limb (clstm). The source segments SOL alone (MICCAI 2020, table "
        "1); here each network learns all structures.",
    ),
    "ablation_ifssnet": Study(
        "Parts of IFSS-Net",
        (
            Member("ifssnet", "ifssnet"),
            *(
                Member(preset, "ifssnet", preset)
                for preset in (
                    "pgnet",
                    "convlstm",
                    "no_recurrence",
                    "concatenation",
                    "correlation",
                    "segnet",
                )
            ),
            *(Member(preset, "ifssnet", preset, _ANNOTATED) for preset in ("fixed", "decremental")),
            Member("w10", "ifssnet", "w10"),
        ),
        one_structure=True,
        about="Against the whole (ifssnet): no memory (pgnet) or one in a single direction (convlstm), no "
        "recurrence, concatenation or correlation in place of feature matching, the Dice index in place of "
        "Tversky's (segnet), 12 % of the training slices annotated in shares that are the same for all cases "
        f"(fixed) or shrink from case to case (decremental), and windows of ten slices (w10). {GUIDED}",
    ),
    "negative_labels": Study(
        "Fewer annotations, with and without negative labels",
        tuple(
            _sparse(percent, labels)
            for percent, kinds in ((100, ("known",)), *((p, ("known", "none")) for p in (90, 70, 50, 30)))
            for labels in kinds
        ),
        about="UNet-S-R-CLSTM from so many per cent of one structure's slices, the other structures being "
        "annotated on all; on a slice that lacks it, the others say where it is not (known), or nothing does "
        "(none). As in MICCAI 2020, table 2; trained without turning, shifting or bending the limbs.",
    ),
}


def studied_models(
    settings: Mapping[str, Any], networks: Mapping[str, Network]
) -> dict[str, dict[str, Model]]:
    """The models of all studies, by study and name.

    A name is `{study}.{member}`, which no other model can have. A member takes its network's section of the
    settings, changed by the preset, by what the study says, and by the epochs of the settings where they are
    given. It sees `segmentation.channels`.

    Parameters
    ----------
    settings
        Complete.
    networks
        All networks by name.
    """
    chosen = settings["studies"]
    preset = PRESETS[chosen["preset"]]
    epochs = chosen["epochs"] or preset.epochs
    structure = chosen_structure(settings)
    models: dict[str, dict[str, Model]] = {}
    for title, study in STUDIES.items():
        models[title] = {}
        for member in study.members:
            kind = networks[member.network]
            section = settings["segmentation"][member.network]
            # The same number of steps for all, from random weights, whatever their sections say.
            same = {"epochs": epochs, "patience": epochs, "keep": "best", "patches": 1, "start_from": ""}
            general = {**preset.common, **same}
            changes = {
                **{key: value for key, value in general.items() if key in section},
                **preset.own.get(member.network, {}),
                **kind.presets.get(member.preset, {}),
                **member.changes,
            }
            name = f"{title}.{member.name}"
            models[title][name] = Model(
                name,
                member.network,
                tuple(settings["segmentation"]["channels"]),
                {**section, **{key: _plain(value, structure) for key, value in changes.items()}},
                kind.binary,
                kind.guided,
                (structure,) if study.one_structure and kind.binary else (),
            )
    return models


def _plain(value: Any, structure: str) -> Any:
    if value == CHOSEN:
        return structure
    return list(value) if isinstance(value, tuple) else value


def chosen_structure(settings: Mapping[str, Any]) -> str:
    """The structure of studies of one: that of the settings, or the first."""
    return str(settings["studies"]["structure"] or next(iter(settings["structures"])))


def given_slices(model: Model) -> int:
    """How many slices of a case's own labels a model is given."""
    return int(model.settings["window"]) if model.guided else 0


def measured_cases(
    study: str,
    rows: Iterable[Case],
    labelled: Collection[str],
    models: Iterable[Model],
    folds: int,
    where: str,
) -> list[str]:
    """The cases on which the members of a study are measured: those of the split test, with a reference.

    With folds it is every case, since each is segmented by networks that never saw it. Where a member is
    guided they need labels, too, so that all members are measured on the same cases.

    Parameters
    ----------
    study
        Its name.
    rows
        All cases that are not excluded.
    labelled
        The cases with labels.
    models
        The study's.
    folds
        Of `segmentation.folds`.
    where
        The table of cases.

    Raises
    ------
    InputError
        There is none, or nothing to learn from.
    """
    rows = list(rows)
    tested = [row for row in rows if folds or row.split == "test"]
    if not tested:
        raise InputError(
            f"{where}, column split",
            f"no case of the split test, on which the study {study} is measured",
            "cases that the networks do not learn from",
            "write test into the cells of some participants' cases, or set segmentation.folds",
        )
    learned = {row.participant for row in rows if row.case in labelled and (folds or row.split == "train")}
    if len(learned) < (2 if folds else 1):
        raise InputError(
            f"{where}, column split",
            f"nothing with labels that the networks of the study {study} could learn from",
            "cases of two participants or more" if folds else "at least one case of the split train",
            "write train into the cells of some participants' cases, and annotate them",
        )
    referred = [row for row in tested if row.reference]
    if not referred:
        raise InputError(
            f"{where}, column reference",
            f"no reference for {', '.join(row.case for row in tested[:10])}",
            f"cases with references: the study {study} measures networks against them",
            "give label volumes that you trust in the column reference",
        )
    guided = any(model.guided for model in models)
    found = [row.case for row in referred if row.case in labelled or not guided]
    if not found:
        raise InputError(
            f"{where}, column labels",
            f"no labels of {', '.join(row.case for row in referred[:10])}",
            f"labels on a few slices, from which a network of the study {study} propagates",
            "annotate the cases",
        )
    return found
