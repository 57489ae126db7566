"""The settings: checked against the schema, completed with its defaults.

Read whenever the workflow is planned, so it imports nothing heavy.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from myosweep.errors import InputError, InputErrors
from myosweep.given import problems_of_given
from myosweep.models import LOSSES, Network, model_of

SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "config.schema.json"
TRAINING = "training.schema.json"
NETWORKS = "networks"
_SUFFIX = ".schema.json"

Json = dict[str, Any]


@cache
def read_schema(schema_path: str | Path = SCHEMA) -> Json:
    """The schema as plain values, with a section for each network; callers must not change it.

    Beside the schema lie `training.schema.json`, the keys of any training, and `networks/{name}.schema.json`,
    each a network's own keys, the defaults of training that suit it, and what of training it does without.
    """
    schema_path = Path(schema_path)
    schema: Json = _json(schema_path)
    sections = schema["properties"]["segmentation"]["properties"]
    for name in network_names(schema_path):
        own = _json(schema_path.parent / NETWORKS / f"{name}{_SUFFIX}")
        training = _json(schema_path.parent / TRAINING)["properties"]
        for key, value in own["training"].items():
            training[key]["default"] = value
        for key in own.get("without", ()):
            del training[key]
        sections[name] = {
            "description": own["description"],
            "unit": "none",
            "type": "object",
            "additionalProperties": False,
            "default": {},
            "properties": {**training, **own["properties"]},
        }
    return schema


def _json(path: Path) -> Json:
    values: Json = json.loads(path.read_text(encoding="utf-8"))
    return values


@cache
def network_names(schema_path: str | Path = SCHEMA) -> tuple[str, ...]:
    """The networks that can be trained: those whose settings a schema describes."""
    folder = Path(schema_path).parent / NETWORKS
    return tuple(sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}")))


@cache
def known_networks(schema_path: str | Path = SCHEMA) -> dict[str, Network]:
    """The networks that can be trained, with what their schemas say of them."""
    folder = Path(schema_path).parent / NETWORKS
    networks = {}
    for name in network_names(schema_path):
        own = _json(folder / f"{name}{_SUFFIX}")
        networks[name] = Network(own.get("binary", False), own.get("guided", False), own.get("presets", {}))
    return networks


def _with_variants(schema: Json, given: Json) -> Json:
    """The schema with each given variant's settings described as those of its network, without defaults."""
    segmentation = given.get("segmentation")
    variants = segmentation.get("variants") if isinstance(segmentation, dict) else None
    if not isinstance(variants, dict) or not variants:
        return schema
    schema = copy.deepcopy(schema)
    sections = schema["properties"]["segmentation"]["properties"]
    described = sections["variants"]
    described["properties"] = {}
    for name, variant in variants.items():
        network = variant.get("network") if isinstance(variant, dict) else None
        if not isinstance(network, str) or network not in network_names():
            continue
        own = copy.deepcopy(described["additionalProperties"])
        properties = copy.deepcopy(sections[network]["properties"])
        for inner in properties.values():
            inner.pop("default", None)
        own["properties"]["settings"] |= {"additionalProperties": False, "properties": properties}
        described["properties"][name] = own
    return schema


def read_settings(config: Mapping[str, Any], schema_path: str | Path = SCHEMA) -> Json:
    """Check a configuration and fill in whatever it does not give.

    A key without a value (None) counts as not given. `simulate` and `registration.base_acquisition` have no
    default: where they are not given they are absent from the result.

    Parameters
    ----------
    config
        What Snakemake read from YAML; it is not changed.
    schema_path
        The JSON schema with description, unit and default of every key.

    Returns
    -------
    A new, complete dictionary of plain values.

    Raises
    ------
    InputErrors
        All problems together, each with its key, what was found, what was expected and what to write.
    """
    schema = read_schema(schema_path)
    problems: list[InputError] = []
    given = _plain(config, (), problems)
    schema = _with_variants(schema, given)
    explained = {problem.where for problem in problems}
    for error in sorted(Draft202012Validator(schema).iter_errors(given), key=_order):
        if error.validator == "additionalProperties":
            problems.extend(_unknown_keys(error, schema))
        elif error.validator == "required":
            problems.extend(_missing_keys(error))
        else:
            problem = _wrong_value(error, schema)
            # One problem per key: a text where a number belongs needs no second message about its range.
            if problem.where not in explained:
                problems.append(problem)
                explained.add(problem.where)
    if not problems:
        settings: Json = _filled(given, schema)
        problems = [*_cross_problems(settings, schema)]
        if not problems:
            return settings
    raise InputErrors(problems)


def _order(error: ValidationError) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _plain(value: Any, path: tuple[str | int, ...], problems: list[InputError]) -> Any:
    """Copy mappings to dicts without empty values; YAML's keys that are no text become a problem."""
    if isinstance(value, Mapping):
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                problems.append(
                    InputError(
                        _where((*path, str(key))),
                        f"the key {key!r}, which YAML does not read as text",
                        "a name",
                        f'put the key into quotes ("{key}") or use another name; yes, no, on and off '
                        "are read as true and false",
                    )
                )
            elif item is not None:
                result[key] = _plain(item, (*path, key), problems)
        return result
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, index), problems) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(InputError(_where(path), f"{value}", "a finite number", "correct the value"))
    return value


def _where(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return f"configuration, key {text}" if text else "configuration"


def _quote(value: Any) -> str:
    if isinstance(value, str):
        return f"{json.dumps(value, ensure_ascii=False)} (text)" if value.strip() else "an empty text"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:117] + "..."


def _range(schema: Json) -> str:
    low = low_word = high = ""
    if "minimum" in schema:
        low_word, low = "at least", f"{schema['minimum']:g}"
    if "exclusiveMinimum" in schema:
        low_word, low = "more than", f"{schema['exclusiveMinimum']:g}"
    if "maximum" in schema:
        high = f"at most {schema['maximum']}"
    if "exclusiveMaximum" in schema:
        high = f"less than {schema['exclusiveMaximum']}"
    return " and ".join(part for part in (f"{low_word} {low}".strip(), high) if part)


def _allowed(schema: Json) -> str:
    """What a schema accepts, in words."""
    if "form" in schema:
        return str(schema["form"])
    if "enum" in schema:
        return " or ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return ", or ".join(_allowed(option) for option in schema[key])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return f"a {'whole ' if kind == 'integer' else ''}number {_range(schema)}".strip()
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        size = schema.get("minItems", 0)
        head = "a list"
        if size and size == schema.get("maxItems"):
            head = f"a list of {size}"
        elif size:
            head = f"a list with at least {size} {'entry' if size == 1 else 'entries'}"
        items = schema.get("items")
        each = " without repetition" if schema.get("uniqueItems") else ""
        return f"{head}{each}, each {_allowed(items)}" if items else head + each
    if kind == "object":
        properties = schema.get("properties")
        if properties:
            return f"a section with the keys {', '.join(properties)}"
        values = schema.get("additionalProperties")
        if not isinstance(values, dict):
            return "a section of its own"
        empty = "" if not schema.get("minProperties") else "at least one line "
        return f"{empty}`name: value`, each value {_allowed(values)}".strip()
    return "a text" if kind == "string" else "another value"


def _schemas_at(schema: Json, path: tuple[str | int, ...]) -> list[Json]:
    """The schemas of a key and of the keys around it, the key's own last."""
    chain = [schema]
    for part in path:
        schema = chain[-1]
        if isinstance(part, int):
            inner = schema.get("items")
        else:
            inner = schema.get("properties", {}).get(part) or schema.get("additionalProperties")
        if not isinstance(inner, dict):
            break
        chain.append(inner)
    return chain


def _wrong_value(error: ValidationError, schema: Json) -> InputError:
    path = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        rule = error.schema if isinstance(error.schema, dict) else {}
        name = str(error.instance)
        return InputError(
            _where((*path, name)),
            f"the name {_quote(name)}",
            f"{_allowed(rule)}. {rule.get('description', '')}".strip(),
            "give it a plain name such as GM",
        )
    chain = _schemas_at(schema, path)
    own = chain[-1]
    described = next((item for item in reversed(chain) if "description" in item), own)
    unit = described.get("unit", "none")
    expected = _allowed(own) + (f", in {unit}" if unit != "none" else "")
    found = _quote(error.instance)
    if error.validator == "uniqueItems":
        found += ", which names something twice"
    why = described.get("description", "")
    return InputError(_where(path), found, f"{expected}. {why}".strip(), _remedy(error, path, described))


def _remedy(error: ValidationError, path: tuple[str | int, ...], schema: Json) -> str:
    value = error.instance
    key = str(path[-1]) if path else ""
    kinds = json.dumps(schema)
    if isinstance(value, str) and _is_number(value):
        if '"integer"' in kinds and float(value).is_integer():
            return f"write `{key}: {int(float(value))}`, without quotation marks"
        if '"number"' in kinds:
            # YAML 1.1 knows 1.0e-3 but takes 1e-3 for a text.
            return f"write `{key}: {float(value)}`, a number with a decimal point and without quotation marks"
    if isinstance(value, str) and schema.get("type") == "array":
        return f"write a list: `{key}: [{value}]`"
    choices = (
        [str(choice) for choice in error.schema.get("enum", [])] if isinstance(error.schema, dict) else []
    )
    close = difflib.get_close_matches(str(value), choices, n=1)
    if close:
        return f"write {close[0]}"
    if "default" in schema and schema["default"] != {}:
        return f"write `{key}: {json.dumps(schema['default'])}` (the default), or leave the key out"
    return "correct the value"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key_paths(schema: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name)
        yield from _key_paths(inner, (*path, name))


def _unknown_keys(error: ValidationError, schema: Json) -> Iterator[InputError]:
    path = tuple(error.absolute_path)
    rule = error.schema if isinstance(error.schema, dict) else {}
    known = list(rule.get("properties", {}))
    instance = error.instance if isinstance(error.instance, dict) else {}
    for key in instance:
        if key in known:
            continue
        close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
        elsewhere = [found for found in _key_paths(schema) if found[-1] == key]
        if elsewhere:
            places = " or ".join(".".join(found) for found in elsewhere)
            remedy = f"the key stands elsewhere: write it as {places}"
        elif close:
            remedy = f"did you mean `{close[0]}`?"
        else:
            remedy = "take the key out"
        yield InputError(_where((*path, key)), "an unknown key", f"one of: {', '.join(known)}", remedy)


def _missing_keys(error: ValidationError) -> Iterator[InputError]:
    rule = error.schema if isinstance(error.schema, dict) else {}
    instance = error.instance if isinstance(error.instance, dict) else {}
    examples = {
        "cases": "cases: config/cases.tsv",
        "sweeps": "sweeps: config/sweeps.tsv",
        "structures": "structures: {SOL: 100, GM: 150, GL: 200}",
    }
    # jsonschema makes one error per missing key but names it only in its message.
    for key in rule.get("required", []):
        if key not in instance and error.message.startswith(f"'{key}'"):
            own = rule["properties"].get(key, {})
            yield InputError(
                _where((*error.absolute_path, key)),
                "no value",
                f"{_allowed(own)}. {own.get('description', '')}".strip(),
                f"add a line such as `{examples.get(key, f'{key}: ...')}`",
            )


def _filled(given: Any, schema: Json) -> Any:
    """Values with the schema's defaults where nothing was given."""
    if isinstance(given, dict):
        properties = schema.get("properties", {})
        result = {}
        for key, inner in properties.items():
            if key in given:
                result[key] = _filled(given[key], inner)
            elif "default" in inner:
                result[key] = _filled(copy.deepcopy(inner["default"]), inner)
        others = schema.get("additionalProperties")
        for key, value in given.items():
            if key not in properties:
                result[key] = _filled(value, others if isinstance(others, dict) else {})
        return result
    if isinstance(given, list):
        items = schema.get("items")
        return [_filled(value, items if isinstance(items, dict) else {}) for value in given]
    # JSON does not tell 7.0 from 7, but a params value that changes its type reruns a stage.
    if schema.get("type") == "integer" and isinstance(given, float):
        return int(given)
    if schema.get("type") == "number" and isinstance(given, int):
        return float(given)
    return given


def _cross_problems(settings: Json, schema: Json) -> Iterator[InputError]:
    structures: dict[str, int] = settings["structures"]
    owners: dict[int, str] = {}
    for name, value in structures.items():
        if value in owners:
            free = next(number for number in range(1, 255) if number not in structures.values())
            yield InputError(
                _where(("structures", name)),
                f"{value}, a duplicate of the label of {owners[value]}",
                "a label value of its own for every structure",
                f"write the value that {name} has in your masks, such as {free}",
            )
        owners.setdefault(value, name)
    yield from _structure_name_problems(list(structures))

    labels = settings["labels"]
    if labels["use"] not in labels["interpolation"]:
        made = ", ".join(labels["interpolation"])
        yield InputError(
            _where(("labels", "use")),
            f"{labels['use']}, which is not made (labels.interpolation: [{made}])",
            "one of the listed interpolations",
            f"write `use: {labels['interpolation'][0]}`, or `interpolation: [{made}, {labels['use']}]`",
        )

    compounding = settings["compounding"]
    if compounding["combine"] != "mean" and compounding["method"] in ("between_frames", "voxel_nearest"):
        yield InputError(
            _where(("compounding", "combine")),
            f"{compounding['combine']} with the method {compounding['method']}, which looks from the voxel",
            "mean, or a method that gives pixels to voxels",
            "write `method: trilinear` (or nearest, squared_distance, gaussian) beside it",
        )

    weighed = compounding["combine"] == "mean" and compounding["method"] != "voxel_nearest"
    if compounding["blending"] == "confidence" and not weighed:
        yield InputError(
            _where(("compounding", "blending")),
            f"confidence with combine {compounding['combine']} and method {compounding['method']}",
            "combine mean and a method that weighs pixels",
            "write `blending: feather`",
        )

    simulated = settings.get("simulate")
    if simulated and simulated["sweep_overlap_mm"] >= simulated["probe_width_mm"]:
        yield InputError(
            _where(("simulate", "sweep_overlap_mm")),
            f"{simulated['sweep_overlap_mm']:g} with a probe_width_mm of {simulated['probe_width_mm']:g}",
            "less than the probe's width, in mm",
            "let the sweeps overlap less",
        )

    studied = settings["studies"]["structure"]
    if studied and studied not in structures:
        yield InputError(
            _where(("studies", "structure")),
            f"{studied}, which is none of the structures",
            f"one of: {', '.join(structures)}",
            f"write `structure: {_closest(studied, list(structures))}`",
        )

    segmentation = settings["segmentation"]
    known = network_names()
    for name, variant in segmentation["variants"].items():
        place = ("segmentation", "variants", name)
        if variant["network"] not in known:
            yield InputError(
                _where((*place, "network")),
                f"{variant['network']}, an unknown network",
                f"one of: {', '.join(known)}",
                f"write `network: {_closest(variant['network'], known)}`",
            )
        if name in known:
            yield InputError(
                _where(place), "the name of a network", "a name of its own", f"call it {name}_2 or the like"
            )
    for where, section in _network_sections(segmentation, known):
        levels, strides = (len(section.get(key, ())) for key in ("channels", "strides"))
        if levels and strides != levels - 1:
            yield InputError(
                _where((*where, "strides")),
                f"{strides} strides for {levels} levels (channels)",
                f"{levels - 1}: one between each level and the next",
                f"write `strides: {[2] * (levels - 1)}`",
            )
    pretrained: dict[str, str] = segmentation["pretrained"]
    for name in segmentation["models"]:
        if name in pretrained:
            continue
        if name not in segmentation["variants"] and model_of(name, segmentation, known_networks()) is None:
            presets = [f"{name}-{preset}" for name in known for preset in known_networks()[name].presets]
            close = _closest(name, [*known, *segmentation["variants"], *presets])
            yield InputError(
                _where(("segmentation", "models")),
                f"{name}, an unknown model",
                f"{' or '.join([*known, *presets])}, one of them followed by _1ch or _2ch and, where it "
                f"brings no loss of its own, by _ and a loss ({', '.join(LOSSES)}), one of "
                "segmentation.variants, or a name that segmentation.pretrained gives a folder",
                f"write {close}, or add `pretrained: {{{name}: FOLDER}}`",
            )
        else:
            yield from _training_problems(name, settings)
    for name, folder in pretrained.items():
        if name not in segmentation["models"]:
            listed = ", ".join([*segmentation["models"], name])
            yield InputError(
                _where(("segmentation", "pretrained", name)),
                "a pretrained model that segmentation.models does not list",
                "a name that is listed there",
                f"write `models: [{listed}]`, or take {name} out of pretrained",
            )
        elif not os.path.isdir(folder):
            yield InputError(
                _where(("segmentation", "pretrained", name)),
                f"{folder}, which is not a folder (looked for in {os.getcwd()})",
                "a folder with weights.safetensors and model.json",
                "correct the path",
            )
        else:
            yield from problems_of_given(
                folder,
                _where(("segmentation", "pretrained", name)),
                settings["structures"],
                segmentation["channels"],
            )


def _training_problems(name: str, settings: Json) -> Iterator[InputError]:
    """What cannot be trained as a model's settings say, as far as names and numbers show it."""
    segmentation = settings["segmentation"]
    variant = segmentation["variants"].get(name)
    if variant is not None and variant["network"] not in known_networks():
        return
    model = model_of(name, segmentation, known_networks())
    assert model is not None
    network = model.network

    def where(key: str) -> str:
        if variant is not None and key in variant["settings"]:
            return _where(("segmentation", "variants", name, "settings", key))
        return _where(("segmentation", network, key))

    for structure in model.settings.get("flip_laterally") or ():
        if structure not in settings["structures"]:
            yield InputError(
                where("flip_laterally"),
                f"{structure}, which is no structure",
                f"two of {', '.join(settings['structures'])}",
                "correct the name",
            )
    if model.settings.get("patch"):
        # Here, since networks need numpy, which takes longer than all else that reads settings.
        from myosweep.networks import check_patch

        of_training = _json(SCHEMA.parent / TRAINING)["properties"]
        own = {key: value for key, value in model.settings.items() if key not in of_training}
        try:
            check_patch(network, own, model.settings["patch"], where("patch"))
        except InputError as problem:
            yield problem


def _closest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return close[0] if close else known[0]


def _network_sections(segmentation: Json, known: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """The settings of every network and of every variant, complete, with where they stand."""
    for name in known:
        yield ("segmentation", name), segmentation[name]
    for name, variant in segmentation["variants"].items():
        if variant["network"] in known:
            complete = {**segmentation[variant["network"]], **variant["settings"]}
            yield ("segmentation", "variants", name, "settings"), complete


def _structure_name_problems(names: list[str]) -> Iterator[InputError]:
    """Names that cannot be told apart where annotators type them: upper and lower case are the same there."""
    seen = dict.fromkeys(("background", "unknown"), "the word for what is no structure")
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield InputError(
                _where(("structures", name)),
                f"{name}: in drawings the same as {other}, whatever the case of its letters",
                "a name of its own for every structure",
                f"give it another name, such as {name}_2",
            )
