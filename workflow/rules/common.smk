import fcntl
import itertools
import math
import os
import re
import sys
from dataclasses import asdict, replace
from functools import cache

WORKFLOW = Path(workflow.basedir) / "workflow"
SCRIPTS = WORKFLOW / "scripts"
SIMULATED = "results/simulate"

# There from the start of a run to its good end.
UNFINISHED = Path(".snakemake") / "myosweep.unfinished"
INTERRUPTED = workflow.is_main_process and UNFINISHED.exists()

# Jobs find the library of this very checkout, installed or not, in whatever environment they run.
sys.path.insert(0, str(WORKFLOW))

from myosweep.errors import InputError, InputErrors
from myosweep.io.files import read_json
from myosweep.io.digests import files_digest, folder_digest
from myosweep.io.made_files import edited_files, edited_problems, folders_in
from myosweep.io.recordings import recording_digest, recording_inputs
from myosweep.io.tables import read_tables
from myosweep.io.screens import read_excluded
from myosweep.labels.methods import FRAME_WISE, NEED_IMAGE
from myosweep.models import fold_of, fold_splits, members_of, model_folders, model_of, network_in
from myosweep.network_memory import prediction_bytes, training_bytes
from myosweep.scheduler_passes import one_pass_at_a_time
from myosweep.settings import known_networks, network_names, read_settings
from myosweep.sources import share_with_jobs, source_files
from myosweep.starts import check_circles, check_source, read_description, seen_by, source_of, trained_here
from myosweep.studies import given_slices, measured_cases, studied_models

share_with_jobs(WORKFLOW)


def from_checkout(path):
    """A path of the default configuration, which may be run from any folder."""
    own = Path(workflow.basedir) / path
    return str(own) if not Path(path).exists() and own.exists() else path


def read_inputs():
    """Settings and tables, with every problem of either told at once."""
    try:
        settings = read_settings(
            {**config, **{key: from_checkout(config[key]) for key in ("cases", "sweeps") if key in config}}
        )
        simulated = f"{SIMULATED}/" if "simulate" in settings else None
        return settings, read_tables(settings["cases"], settings["sweeps"], settings, simulated)
    except (InputError, InputErrors) as error:
        raise WorkflowError(str(error)) from None


def refuse_edited_files():
    """Labels that a person changed where the workflow made them: Snakemake would remove them unasked."""
    edited = edited_files(folders_in("results/labels", "results/predict"))
    if edited:
        raise WorkflowError(str(InputErrors(edited_problems(edited, SETTINGS["cases"]))))


SETTINGS, TABLES = read_inputs()
if workflow.is_main_process:
    refuse_edited_files()
    one_pass_at_a_time()
METHODS = SETTINGS["labels"]["interpolation"]
MODELS = SETTINGS["segmentation"]["models"]
PRETRAINED = SETTINGS["segmentation"]["pretrained"]
TRAINED = {
    name: model_of(name, SETTINGS["segmentation"], known_networks())
    for name in MODELS
    if name not in PRETRAINED
}
STUDIES = studied_models(SETTINGS, known_networks())
# Trained where a study is asked for, and no source of the tables of all cases.
TRAINED |= {name: model for models in STUDIES.values() for name, model in models.items()}
FOLDS = SETTINGS["segmentation"]["folds"]
INFERENCE = SETTINGS["segmentation"]["inference"]
ON_FRAMES = SETTINGS["confidence"]["where"] == "frames"
CONFIDENCE = {name: value for name, value in SETTINGS["confidence"].items() if name != "where"}


wildcard_constraints:
    case="[^/]+",
    acquisition="[^/]+",
    method="[^/]+",
    model="[^/]+",
    source="[^/]+",
    sweep="[^/]+",
    stage="labels|predict",
    study="|".join(STUDIES),


def hold_folder():
    """Refuse a second run in this folder. Unlike Snakemake's own lock this one dies with the run that holds it."""
    global FOLDER_LOCK
    FOLDER_LOCK = open(Path(".snakemake") / "myosweep.lock", "w")
    try:
        fcntl.flock(FOLDER_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(f"Another run is at work in {Path.cwd()}; wait until it has ended.") from None


def processors(count):
    """Threads to ask for so that `count` busy threads get a processor each, even where --cores exceeds the machine."""
    cores = workflow.resource_settings.cores
    if not cores:  # a cluster gives each job what it asks for
        return count
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(count, math.ceil(count * cores / available))


def megabytes(least, per_input_mb=0.0):
    """Memory of a job: what it needs at least, and its share of the inputs; more at each retry."""

    def needed(wildcards, input, attempt):
        return int(max(least, per_input_mb * input.size_mb) * 1.5 ** (attempt - 1))

    return needed


def foretold_grid(case):
    """Size and spacing of a case's grid as screening foretold it, None where that is not known yet."""
    screen = Path(f"results/screen/{case}.json")
    return read_json(screen)["grid"] if screen.exists() else None


def foretold_voxels(case):
    """Voxels of a case's grid, 0 where it is not known yet."""
    grid = foretold_grid(case)
    return math.prod(grid["size"]) if grid else 0


def megabytes_by_voxels(least, bytes_per_voxel):
    """Memory of a job on a case's grid, measured on a full-size leg; more at each retry."""

    def needed(wildcards, attempt):
        return int((least + foretold_voxels(wildcards.case) * bytes_per_voxel / 1e6) * 1.5 ** (attempt - 1))

    return needed


def compounding_megabytes(wildcards, input, attempt):
    """Memory of compounding: volume, coverage and one more byte per voxel, sums of slabs, the frames read last."""
    voxels = foretold_voxels(wildcards.case)
    return int(max(1200, 1200 + voxels * 6.5e-6, 0 if voxels else 20 * input.size_mb) * 1.5 ** (attempt - 1))


def training_megabytes(wildcards, attempt):
    """Memory of a training, by what its network sees at a time; more at each retry."""
    model = model_of_training(wildcards)
    return int(training_bytes(model.network, model.settings) / 1e6 * 1.5 ** (attempt - 1))


def prediction_megabytes(wildcards, attempt):
    """Memory of a network that segments a case, by what it sees of it at a time."""
    grid = foretold_grid(wildcards.case) or {"size": [1, 1, 1], "spacing_mm": 1.0}
    needed = prediction_bytes(grid["size"], grid["spacing_mm"], settings_of_model(wildcards.model))
    return int(needed / 1e6 * 1.5 ** (attempt - 1))


def prediction_threads(wildcards):
    """Threads of a network that segments a case: those of its training, which it computes with."""
    return processors(settings_of_model(wildcards.model).get("threads", 1))


@cache
def code_of(script, *resources, without=frozenset()):
    """Digest of the script and of every file of the library that it imports, however deep.

    A digest among the params, not the files among the inputs: it stays the same where the checkout lies
    elsewhere, and a plan of thousands of jobs has no dozen more files to look at for each.
    """
    files = source_files(SCRIPTS / f"{script}.py", WORKFLOW / "myosweep", without)
    return files_digest(
        [*files, *(Path(workflow.basedir) / name for name in resources)], Path(workflow.basedir)
    )


def code_of_network(script, network):
    """As `code_of`, without the other networks; of a given model, whose network nobody told, with all."""
    others = frozenset(f"myosweep.networks.{name}" for name in network_names() if name != network)
    return code_of(script, without=others if network else frozenset())


def base_of(case):
    return TABLES.base_acquisition(case)


def registered_acquisitions(case):
    return TABLES.acquisitions(case)[1:]


def case_rows(wildcards):
    return TABLES.case_sweeps(wildcards.case)


def rows_of(wildcards):
    """The sweeps of a job: a single one, those of its acquisition, or of the whole case."""
    if "acquisition" not in wildcards.keys():
        return case_rows(wildcards)
    rows = TABLES.sweeps[wildcards.case][wildcards.acquisition]
    if "sweep" in wildcards.keys():
        return [row for row in rows if row.sweep == wildcards.sweep]
    return rows


def described(rows, *columns):
    """Rows of the table of sweeps as plain values for params: the columns that the step uses, or all."""
    return [
        {name: value for name, value in asdict(row).items() if not columns or name in columns} for row in rows
    ]


def recordings_in(rows):
    """What of a row tells where frames lie and where they are in space."""
    return described(rows, "path", "calibration")


def files_of(rows):
    """The recordings' files and calibrations; of a recording of very many files those with text."""
    files = []
    for row in rows:
        files += recording_inputs(row.path)
        if row.calibration:
            files.append(row.calibration)
    return list(dict.fromkeys(files))


def many_files_digest(rows):
    """Digest of the recordings' files that are too many to be inputs."""
    digests = {row.path: recording_digest(row.path) for row in rows}
    return {path: digest for path, digest in digests.items() if digest}


def images_of_case(wildcards):
    return many_files_digest(case_rows(wildcards))


def images_of_acquisition(wildcards):
    return many_files_digest(rows_of(wildcards))


def recordings_of_case(wildcards):
    return files_of(case_rows(wildcards))


def recordings_of_acquisition(wildcards):
    return files_of(rows_of(wildcards))


def simulated_masks(wildcards):
    """What stands for the annotations of a simulated case, whose number is known only when they are made."""
    if any(row.annotations.startswith(f"{SIMULATED}/") for row in rows_of(wildcards)):
        return f"{SIMULATED}/{wildcards.case}/truth.json"
    return []


def masks_digest(wildcards):
    """Digest of the annotated masks: thousands of small files would be too many inputs for a large study."""
    folders = [row.annotations for row in rows_of(wildcards)]
    return {
        folder: folder_digest(folder)
        for folder in folders
        if folder and not folder.startswith(f"{SIMULATED}/")
    }


def base_file(stage, suffix=".mha"):
    return lambda wildcards: f"results/{stage}/{wildcards.case}/{base_of(wildcards.case)}{suffix}"


def registration_of(suffix):
    """An input function: the registration of an acquisition, nothing for the base acquisition itself."""

    def file(wildcards):
        if wildcards.acquisition == base_of(wildcards.case):
            return []
        return f"results/register/{wildcards.case}/{wildcards.acquisition}{suffix}"

    return file


def image_for_labels(wildcards):
    """The compounded volume for the methods that look at it, nothing for the others."""
    if wildcards.method in NEED_IMAGE:
        return f"results/compound/{wildcards.case}/{wildcards.acquisition}.mha"
    return []


def annotated_acquisitions(case):
    return [name for name, rows in TABLES.sweeps[case].items() if any(row.annotations for row in rows)]


def fractions_of(suffix):
    """An input function: interpolated labels of every annotated acquisition of a case."""
    return lambda wildcards: [
        f"results/labels/{wildcards.method}/{wildcards.case}/{acquisition}{suffix}"
        for acquisition in annotated_acquisitions(wildcards.case)
    ]


def given_labels(case):
    row = TABLES.cases[case]
    return [row.labels] if row.labels else []


def segment_names(wildcards):
    """What segments' names mean, for a case with labels or a reference of somebody's."""
    given = given_labels(wildcards.case) or reference_of(wildcards)
    return SETTINGS["recordings"]["contour_names"] if given else {}


def is_labelled(case):
    return bool(annotated_acquisitions(case) or given_labels(case))


def sources_of(case):
    """What is measured for a case: labels by method where there are any, and each model's prediction."""
    labels = [f"labels_{method}" for method in METHODS] if is_labelled(case) else []
    return labels + [model for model in MODELS if is_labelled(case) or not is_guided(model)]


def measured_file(case, source):
    """The label volume behind a source."""
    if source in MODELS or source in TRAINED:
        return f"results/predict/{source}/{case}.mha"
    return f"results/labels/{source.removeprefix('labels_')}/{case}.mha"


def structures_of(source):
    """The structures that a source shows, with their label values."""
    own = TRAINED[source].structures if source in TRAINED else ()
    return {name: SETTINGS["structures"][name] for name in own or SETTINGS["structures"]}


def reference_of(wildcards):
    row = TABLES.cases[wildcards.case]
    return [row.reference] if row.reference else []


@cache
def excluded_in(path):
    return read_excluded(path)


def usable_cases():
    """Cases that screening left in; known when its checkpoint has run."""
    excluded = excluded_in(checkpoints.gather_screens.get().output.excluded)
    # Asked while the plan is made: in time to say what has to be made again.
    workflow.dag.forcefiles.update(files_taken_away())
    return [case for case in TABLES.cases if case not in excluded]


def for_usable(pattern, **names):
    """An input function: `pattern` for every usable case, and every value of `names`, which may depend on the case."""

    def files(wildcards):
        return [
            file
            for case in usable_cases()
            for file in expand(
                pattern,
                case=case,
                **{name: values(case) if callable(values) else values for name, values in names.items()},
            )
        ]

    return files


def segmentations(wildcards):
    """The labels that training takes, as 3D Slicer opens them."""
    method = SETTINGS["labels"]["use"]
    return [f"results/labels/{method}/{case}.seg.nrrd" for case in usable_cases() if is_labelled(case)]


def disputed_file(file):
    """An input function: what tells where an acquisition's sweeps disagree, where the kit asks for it."""

    def files(wildcards):
        asked = SETTINGS["annotation_kit"]["choose"] == "disagreement"
        if not asked or wildcards.acquisition not in annotated_acquisitions(wildcards.case):
            return []
        if callable(file):
            return file(wildcards)
        chosen = SETTINGS["labels"]["use"]
        method = chosen if chosen in FRAME_WISE else "shape"
        return file.format(method=method, case=wildcards.case, acquisition=wildcards.acquisition)

    return files


def kit_megabytes(wildcards, attempt):
    """Memory of exporting frames: a frame, and the volume of disagreement where it is looked at."""
    voxels = foretold_voxels(wildcards.case) if SETTINGS["annotation_kit"]["choose"] == "disagreement" else 0
    return int((600 + voxels * 2.5e-6) * 1.5 ** (attempt - 1))


def kits(wildcards):
    """The annotation kits of all recordings of usable cases."""
    return [
        f"results/annotation_kit/{row.case}/{row.acquisition}/{row.sweep}/README.txt"
        for case in usable_cases()
        for row in TABLES.case_sweeps(case)
    ]


def comparison_made(wildcards):
    """Digest of the comparison of interpolations, where it was made."""
    made = Path("results/interpolation.csv")
    return {str(made): files_digest([made], Path())} if "simulate" in SETTINGS and made.exists() else {}


def participants():
    """All participants but those of excluded cases alone: what screening finds must not change the folds."""
    return [TABLES.cases[case].participant for case in TABLES.included]


def tested_split(row):
    """A case's split, or the fold that segments it where there are folds."""
    fold = fold_of(participants(), FOLDS, SETTINGS["seed"]).get(row.participant) if FOLDS else None
    return f"fold{fold}" if fold else row.split


def model_of_training(wildcards):
    return TRAINED[Path(wildcards.training).parts[0]]


def learned_structures(wildcards):
    """What a network learns: one structure where it is binary, else all."""
    if model_of_training(wildcards).binary:
        return [Path(wildcards.training).name]
    return list(structures_of(Path(wildcards.training).parts[0]))


def splits_of(training):
    """The split of every case for a training: that of the table, or that of the training's fold."""
    if not FOLDS:
        return {case: TABLES.cases[case].split for case in TABLES.included}
    fold = int(Path(training).parts[1].removeprefix("fold"))
    splits = fold_splits(participants(), FOLDS, fold, SETTINGS["seed"])
    return {case: splits[TABLES.cases[case].participant] for case in TABLES.included}


def rows_learned(training):
    """Cases that a network learns from, those of the training and validation splits that have labels."""
    splits = splits_of(training)
    return [
        replace(TABLES.cases[case], split=splits[case])
        for case in usable_cases()
        if splits[case] in ("train", "validation") and is_labelled(case)
    ]


def training_rows(wildcards):
    return rows_learned(wildcards.training)


def training_files(stage):
    """An input function: a stage's file of every case that a model learns from."""

    def files(wildcards):
        rows = training_rows(wildcards)
        if stage == "labels":
            return [f"results/labels/{SETTINGS['labels']['use']}/{row.case}.mha" for row in rows]
        model = model_of_training(wildcards)
        if stage == "confidence" and not model.learns_from_confidence:
            return []
        return [f"results/{stage}/{row.case}/{base_of(row.case)}.mha" for row in rows]

    return files


def trainings_of(model, folds=range(1, FOLDS + 1)):
    """What is trained for a model: itself, or one network per fold, or per structure where it is binary."""
    levels = [[model], [f"fold{fold}" for fold in folds], list(structures_of(model))]
    used = [levels[0], *([levels[1]] if FOLDS else []), *([levels[2]] if TRAINED[model].binary else [])]
    return [str(Path(*parts)) for parts in itertools.product(*used)]


def all_trainings(models=MODELS):
    return [training for model in models if model in TRAINED for training in trainings_of(model)]


def setting_of(model, key):
    """Where a setting of a model stands, for errors."""
    variant = SETTINGS["segmentation"]["variants"].get(model, {"settings": {}})
    place = f"variants.{model}.settings" if key in variant["settings"] else TRAINED[model].network
    return f"configuration, key segmentation.{place}.{key}"


def read_starts():
    """The folder from which each training starts that does, checked as far as it can be before any job."""
    made = all_trainings()
    models = {training: TRAINED[Path(training).parts[0]] for training in made}
    starting = {training: model for training, model in models.items() if model.settings["start_from"]}
    where = {training: setting_of(model.name, "start_from") for training, model in starting.items()}
    sources = {
        training: source_of(model.settings["start_from"], training, made, where[training])
        for training, model in starting.items()
    }
    check_circles(sources, where)
    for training, source in sources.items():
        model = starting[training]
        splits = splits_of(training)
        people = {TABLES.cases[case].participant: split for case, split in splits.items()}
        check_source(
            planned_source(trained_here(source), models) or read_description(source),
            source,
            people,
            network=model.network,
            channels=model.channels,
            position=model.settings["position"],
            spacing_mm=model.settings["spacing_mm"],
        )
    return sources


def planned_source(training, models):
    """What model.json will tell of a network that this run trains; None of any other."""
    if training not in models:
        return None
    splits = splits_of(training)
    return {
        "network": models[training].network,
        "channels": list(models[training].channels),
        "spacing_mm": models[training].settings["spacing_mm"],
        "training_settings": models[training].settings,
        "participants": {
            split: [TABLES.cases[case].participant for case in splits if splits[case] == split]
            for split in ("train", "validation")
        },
    }


try:
    STARTS = read_starts()
except (InputError, InputErrors) as error:
    raise WorkflowError(str(error)) from None


def start_files(wildcards):
    """The network from which a training starts, nothing for one that starts from random weights."""
    folder = STARTS.get(wildcards.training)
    return [f"{folder}/{name}" for name in ("model.json", "weights.safetensors")] if folder else []


# A given model may lie among the results of an earlier configuration, and is not to be trained again.
wildcard_constraints:
    training="|".join(map(re.escape, all_trainings(TRAINED))) or "(?!)",


def model_files(wildcards):
    """The networks that segment a case: given ones, or those that never saw the case's participant."""
    if wildcards.model in PRETRAINED:
        folders = model_folders(PRETRAINED[wildcards.model], SETTINGS["structures"])
    else:
        fold = tested_split(TABLES.cases[wildcards.case]).removeprefix("fold")
        trainings = trainings_of(wildcards.model, [fold] if FOLDS else [])
        folders = [Path("results/train", training) for training in trainings]
    return [f"{folder}/{name}" for folder in folders for name in ("model.json", "weights.safetensors")]


def learned_elsewhere(model):
    """The participants from whom a given network learned, as its model.json tells."""
    if model not in PRETRAINED:
        return []
    folders = model_folders(PRETRAINED[model], SETTINGS["structures"])
    told = [seen_by(read_description(str(folder)))["train"] for folder in folders]
    return sorted({name for names in told for name in names})


def guide_of_case(wildcards):
    """Labels of the case itself, for a network that propagates those of a few slices."""
    case = wildcards.case
    if not is_guided(wildcards.model) or not is_labelled(case):
        return []
    return f"results/labels/{SETTINGS['labels']['use']}/{case}.mha"


def is_guided(model):
    """Whether a model propagates labels of the case itself."""
    network = network_of(model)
    return network in known_networks() and known_networks()[network].guided


def passes_differ(model):
    """Whether a model answers a case more than once: turned, with dropout, or as several networks."""
    if INFERENCE["dropout_passes"] > 1 or (INFERENCE["flips"] and not is_guided(model)):
        return True
    given = PRETRAINED.get(model)
    return given is not None and len(members_of(model_folders(given, SETTINGS["structures"]))) > 1


def network_of(model):
    return (
        TRAINED[model].network if model in TRAINED else network_in(PRETRAINED[model], SETTINGS["structures"])
    )


@cache
def settings_of_model(model):
    """Settings of a model and its training; none of a given one that cannot be read, as using it will say."""
    if model in TRAINED:
        return TRAINED[model].settings
    try:
        told = read_description(str(model_folders(PRETRAINED[model], SETTINGS["structures"])[0]))
    except InputError:
        return {}
    return {**told.get("network_settings", {}), **told.get("training_settings", {})}


def inference_of(model, *names):
    """The settings `names` of prediction, or all, as far as they change what a model says."""
    unused = {"flips"} if is_guided(model) else set()
    if model in TRAINED and not TRAINED[model].settings.get("patch"):
        unused.add("overlap")
    return {name: INFERENCE[name] for name in names or INFERENCE if name not in unused}


def channels_of(model):
    """What a model sees; a given one sees what the settings say of all."""
    return list(TRAINED[model].channels if model in TRAINED else SETTINGS["segmentation"]["channels"])


def confidence_of_model(wildcards):
    return base_file("confidence")(wildcards) if "confidence" in channels_of(wildcards.model) else []


def confidence_of_case(wildcards):
    """The confidence map for a picture, where a network needs maps anyhow."""
    needed = any(
        "confidence" in channels_of(name) or (name in TRAINED and TRAINED[name].learns_from_confidence)
        for name in MODELS
    )
    return base_file("confidence")(wildcards) if needed else []


def measured_in_study(study):
    """Cases that a study's members are measured on, as far as the tables tell."""
    rows = [TABLES.cases[case] for case in TABLES.included]
    labelled = {row.case for row in rows if is_labelled(row.case)}
    try:
        return measured_cases(study, rows, labelled, STUDIES[study].values(), FOLDS, SETTINGS["cases"])
    except InputError as error:
        raise WorkflowError(str(error)) from None


def evaluations_of_study(wildcards):
    measured = measured_in_study(wildcards.study)
    usable = set(usable_cases())
    cases = [case for case in measured if case in usable]
    return expand("results/evaluate/{source}/{case}.csv", source=STUDIES[wildcards.study], case=cases)


def trainings_of_study(wildcards):
    return all_trainings(STUDIES[wildcards.study])


def members_of_study(wildcards):
    return {
        name: {
            "model": name.removeprefix(f"{wildcards.study}."),
            "structures": list(structures_of(name)),
            "given_slices": given_slices(model),
            "trainings": trainings_of(name),
        }
        for name, model in STUDIES[wildcards.study].items()
    }


def examples_of_study(wildcards):
    """From how many cases each network of a study learns."""
    return {
        training: sum(row.split == "train" for row in rows_learned(training))
        for training in trainings_of_study(wildcards)
    }


def studies_made(wildcards):
    """Digests of the studies' tables that were made."""
    made = [Path(f"results/{study}.csv") for study in STUDIES]
    return {str(path): files_digest([path], Path()) for path in made if path.exists()}


def frame_maps_for_blending(wildcards):
    """The frames' confidence maps where they weigh pixels in compounding."""
    if SETTINGS["compounding"]["blending"] != "confidence":
        return []
    return f"results/confidence/{wildcards.case}/{wildcards.acquisition}.frames.npz"


def frames_of_acquisition(wildcards):
    """What says where maps of frames go in a volume: the recordings, and how they are compounded."""
    return {
        "sweeps": recordings_in(rows_of(wildcards)),
        "images": images_of_acquisition(wildcards),
        "world": SETTINGS["world"],
        "recordings": SETTINGS["recordings"],
        "compounding": {
            name: value
            for name, value in SETTINGS["compounding"].items()
            if name not in ("axes", "spacing_mm")
        },
    }


def intermediate_files(case):
    """What is made of a case on the way to its measures."""
    acquisitions = TABLES.acquisitions(case)
    blended = acquisitions if SETTINGS["compounding"]["blending"] == "confidence" else []
    shown = acquisitions[:1] if any("confidence" in channels_of(model) for model in MODELS) else []
    for acquisition in dict.fromkeys([*blended, *(shown if ON_FRAMES else [])]):
        yield f"results/confidence/{case}/{acquisition}.frames.npz"
    for acquisition in acquisitions:
        yield f"results/compound/{case}/{acquisition}.mha"
    for acquisition in acquisitions[1:]:
        yield f"results/register/{case}/{acquisition}.tfm"
    for method in METHODS if is_labelled(case) else []:
        for acquisition in annotated_acquisitions(case):
            yield f"results/labels/{method}/{case}/{acquisition}.mha"
        yield f"results/labels/{method}/{case}.mha"
    for acquisition in shown:
        yield f"results/confidence/{case}/{acquisition}.mha"
    for model in sources_of(case):
        if model in MODELS:
            yield f"results/predict/{model}/{case}.mha"


@cache
def files_taken_away():
    """Files that an interrupted run removed to make them anew, while what was made of the old ones is still there.

    Snakemake asks for a missing file only where something needs it, and takes the old results for true.
    """
    if not INTERRUPTED:
        return set()
    excluded = Path("results/excluded.tsv")
    left_out = read_excluded(excluded) if excluded.exists() else {}
    files = set()
    for case in TABLES.included:
        measured = any(Path(f"results/evaluate/{source}/{case}.csv").exists() for source in sources_of(case))
        if measured and case not in left_out:
            files.update(intermediate_files(case))
        for model in TRAINED:
            if Path(f"results/evaluate/{model}/{case}.csv").exists() and case not in left_out:
                files.add(f"results/predict/{model}/{case}.mha")
    for model in TRAINED:
        if any(Path(f"results/predict/{model}").glob("*.mha")):
            files.update(f"results/train/{training}/weights.safetensors" for training in trainings_of(model))
    return {file for file in files if not Path(file).exists()}


onstart:
    hold_folder()
    UNFINISHED.touch()


onsuccess:
    UNFINISHED.unlink(missing_ok=True)
