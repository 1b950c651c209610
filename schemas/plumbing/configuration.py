"""Configuration files: frozen models, YAML, and `--set key.path=value`, with errors that name the key.

Precedence is default, then YAML, then `--set`. The text under a field is its documentation everywhere: help,
reference and JSON Schema.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.plumbing.errors import UsageError as UsageError


class Config(BaseModel):
    """Base of every configuration: unknown keys are errors, values do not change, docstrings under fields are their
    help."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Extensible:
    """In the annotation of a field whose value may be a name or a group: a setting that reaches into the value makes
    the group `{KEY: VALUE, ...}` of it, with what the setting changes, for the field's own validator to resolve."""

    key: str


def load_config[C: Config](model: type[C], path: Path | None, settings: tuple[str, ...] = ()) -> C:
    """Read `path` (or only defaults), apply settings `a.b=value` (values are YAML), and validate; `UsageError` names
    the key."""
    values = read_yaml(path) if path is not None else {}
    return config_of(model, values, settings, where=str(path) if path else "configuration")


def config_of[C: Config](model: type[C], values: dict[str, Any], settings: tuple[str, ...], *, where: str) -> C:
    """The same from values that are read already; `where` says in errors where they come from."""
    for setting in settings:
        _apply(values, setting, model)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UsageError(describe_validation_error(error, where)) from None


def dotted(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in path)


def describe_validation_error(
    error: ValidationError, where: str, key_of: Callable[[tuple[int | str, ...]], str] = dotted
) -> str:
    """One line: `FILE: key.path: what is wrong`, for each fault, joined by `; `."""
    faults = []
    for fault in error.errors():
        key = key_of(fault["loc"])
        if fault["type"] == "extra_forbidden":
            faults.append(f"{key}: unknown key")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(
                f"{key}: {message}, not {_short(fault['input'])}"
                if fault["type"] != "missing"
                else f"{key}: is required"
            )
    return f"{where}: " + "; ".join(faults)


def config_json(config: Config) -> str:
    """The resolved configuration as canonical JSON: equal configurations give equal text."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


def config_hash(config: Config) -> str:
    return hashlib.sha256(config_json(config).encode()).hexdigest()


def config_markdown(model: type[BaseModel], prefix: str = "") -> str:
    """Rows `| key | type | default | meaning |` for the reference documentation, nested models included."""
    rows = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        annotation = getattr(field.annotation, "__value__", field.annotation)
        nested = _nested_model(annotation)
        if nested is annotation and nested is not None:
            rows.append(config_markdown(nested, f"{key}."))
            continue
        default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        meaning = " ".join((field.description or "").split()).replace("|", "or")
        rows.append(f"| `{key}` | {_type_text(annotation, nested)} | {default} | {meaning} |")
        if nested is not None:
            rows.append(config_markdown(nested, f"{key}.{_place_in(annotation)}"))
    return "\n".join(row for row in rows if row)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, one of, or none."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _place_in(annotation: Any) -> str:
    """What stands before the keys of each model that a field holds several of."""
    origin = get_origin(annotation)
    return "N." if origin is tuple else "NAME." if origin is dict else ""


def _type_text(annotation: Any, nested: type[BaseModel] | None) -> str:
    if nested is not None:
        return {"N.": "list", "NAME.": "groups by name"}.get(_place_in(annotation), "group or None")
    text = getattr(annotation, "__name__", str(annotation)) if "[" not in str(annotation) else str(annotation)
    return text.replace("|", "or").replace("typing.", "").replace("pathlib._local.", "").replace("pathlib.", "")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file, empty for an empty file. Raises `UsageError` where there is none."""
    if not path.is_file():
        raise UsageError(f"{path}: no such configuration file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        # A ValueError for what looks like a date and is none, such as 2015-02-30.
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: must be a mapping of keys to values, not a {type(values).__name__}")
    return values


def _apply(values: dict[str, Any], setting: str, model: type[BaseModel]) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {setting}: must look like key.path=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise UsageError(f"--set {setting}: the value is not valid YAML") from None
    *parents, last = key.split(".")
    group: Any = model
    for place, parent in enumerate(parents):
        field = group.model_fields.get(parent) if _is_model(group) else None
        extensible = next((part for part in field.metadata if isinstance(part, Extensible)), None) if field else None
        if field is not None and extensible is not None:
            own = values.get(parent, field.get_default(call_default_factory=True))
            values[parent] = _changed(own, extensible.key, key.split(".")[place + 1 :], value)
            return
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            raise UsageError(f"--set {setting}: {parent} is not a group of keys")
        values, group = child, field.annotation if field is not None else None
    values[last] = value


def _changed(own: Any, key: str, path: list[str], value: Any) -> dict[str, Any]:
    """`own` with the value at the path changed, as a group that names `own` by `key`."""
    if path == [key]:
        return {**own, key: value} if isinstance(own, dict) else {key: value}
    for part in reversed(path):
        value = {part: value}
    return {key: own, **value}


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
