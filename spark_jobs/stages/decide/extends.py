"""What `extends` means: the keys of one policy with single ones of them changed, before either is validated.

Groups change key by key. Lists whose items have names, `rules` and `languages`, change item by item: a list replaces
the items of the same name and adds others, a mapping changes what it says of the items that it names. All else is
replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.plumbing.errors import UsageError, near_names
from spark_jobs.stages.decide.column_rules import ColumnRule
from spark_jobs.stages.decide.policy import Policy

type Values = dict[str, Any]

BY_NAME = ("language_weights", "rehydration")
"""Groups whose keys are names or sizes: null takes an entry out."""
_KEYS_OF_A_RULE = {"signal", *ColumnRule.model_fields}


def extended(base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> Values:
    """The keys of the base with the changes. Raises `UsageError`, which begins with `where`, for a change of what is
    not there."""
    values = dict(base)
    for key, change in changes.items():
        if key not in Policy.model_fields:
            raise UsageError(f"{where}: {key}: unknown key{near_names(key, Policy.model_fields)}")
        if key not in ("rules", "languages"):
            values[key] = _merged(values.get(key), change)
    for key in BY_NAME:
        if isinstance(values.get(key), Mapping):
            values[key] = {name: value for name, value in values[key].items() if value is not None}
    rules = _items(base.get("rules", ()), "rules", where)
    if "rules" in changes:
        rules = _changed_rules(rules, changes["rules"], where)
        values["rules"] = list(rules.values())
    languages = _items(base.get("languages", ()), "languages", where)
    if "languages" in changes:
        languages = _changed_languages(languages, changes["languages"], tuple(rules), where)
    if "rules" in changes or "languages" in changes:
        # A rule that was switched off has no limits by language either.
        gone = set(_items(base.get("rules", ()), "rules", where)) - set(rules)
        values["languages"] = [_without_limits(language, gone) for language in languages.values()]
    return values


def item_names(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the rules and of the languages, in their order."""
    return {
        key: [_name(item, key) or str(i) for i, item in enumerate(values.get(key) or ())]
        for key in ("rules", "languages")
    }


def _changed_rules(rules: dict[str, Any], change: Any, where: str) -> dict[str, Any]:
    if not isinstance(change, Mapping):
        return rules | _items(change, "rules", where)
    rules = dict(rules)
    names = {*rules, *_new_rules(change)}
    for name, changes in _by_name(change, names, "rule", _KEYS_OF_A_RULE, f"{where}: rules").items():
        if changes is None:
            if name not in rules:
                raise UsageError(f"{where}: rules.{name}: no such rule{near_names(name, rules)}")
            del rules[name]
        elif name in rules:
            own = rules[name] if isinstance(rules[name], Mapping) else {"signal": rules[name]}
            rules[name] = {**own, **changes}
        else:
            rules[name] = {"name": name, **changes}
    return rules


def _changed_languages(languages: dict[str, Any], change: Any, rules: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(change, Mapping):
        return languages | _items(change, "languages", where)
    languages = dict(languages)
    for name, changes in _by_name(
        change, set(languages), "language", {"min_score", "limits"}, f"{where}: languages"
    ).items():
        if changes is None:
            del languages[name]
            continue
        own = dict(languages[name])
        if isinstance(changes.get("limits"), Mapping):
            place = f"{where}: languages.{name}.limits"
            limits = _by_name(changes["limits"], set(rules), "rule", {"min", "max"}, place)
            changes = {**changes, "limits": _merged(own.get("limits"), limits)}
        languages[name] = {**own, **changes}
    return languages


def _by_name(
    changes: Mapping[str, Any], names: set[str], item: str, keys_of_an_item: Iterable[str], where: str
) -> dict[str, Values | None]:
    """The changes by name. Names hold dots, and so may be spread over nested mappings, as a path that was split at
    its dots is; the longest name that fits is meant."""
    found: dict[str, Any] = {}
    for path, value in _leaves(changes):
        fits = [i for i in range(1, len(path) + 1) if ".".join(path[:i]) in names]
        if not fits:
            unknown = ".".join(path[:-1] if len(path) > 1 and path[-1] in keys_of_an_item else path)
            raise UsageError(f"{where}.{unknown}: no such {item}{near_names(unknown, names)}")
        name, rest = ".".join(path[: fits[-1]]), path[fits[-1] :]
        if not rest and value is not None and value != {}:
            raise UsageError(f"{where}.{name}: must be a group of keys, or null, not {value!r}")
        for part in reversed(rest):
            value = {part: value}
        found[name] = _merged(found.get(name), value)
    return found


_ITEM = {"rules": "rule", "languages": "language"}


def _leaves(changes: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths to all that is no mapping or an empty one; keys are split at their dots."""
    for key, value in changes.items():
        place = (*path, *str(key).split("."))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, place)
        else:
            yield place, value


def _new_rules(changes: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Names of groups that name the signal or the column of a rule."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            if {"signal", "column"} & value.keys():
                yield f"{path}{key}"
            yield from _new_rules(value, f"{path}{key}.")


def _merged(own: Any, change: Any) -> Any:
    """Mappings key by key, where 1 and `1` are one key; all else is the change."""
    if not (isinstance(own, Mapping) and isinstance(change, Mapping)):
        return change
    merged, keys = dict(own), {str(key): key for key in own}
    for key, value in change.items():
        known = keys.get(str(key), key)
        merged[known] = _merged(merged.get(known), value)
    return merged


def _items(items: Any, key: str, where: str) -> dict[str, Any]:
    """The items of a list by their names."""
    if not isinstance(items, list | tuple):
        raise UsageError(f"{where}: {key}: must be a list or a mapping from names to changes, not {items!r}")
    named: dict[str, Any] = {}
    for item in items:
        name = _name(item, key)
        if name is None:
            raise UsageError(f"{where}: {key}: {item!r} is no {_ITEM[key]}")
        if name in named:
            raise UsageError(f"{where}: {key} of the same name: {name}")
        named[name] = item
    return named


def _name(item: Any, key: str) -> str | None:
    if isinstance(item, str) and key == "rules":
        return item
    if not isinstance(item, Mapping):
        return None
    if key == "languages":
        return str(item["language"]) if "language" in item else None
    column = f"documents.{item['column']}" if "column" in item else None
    name = item.get("name") or item.get("signal") or column
    return str(name) if name is not None else None


def _without_limits(language: Any, gone: set[str]) -> Any:
    limits = language.get("limits")
    if not isinstance(limits, Mapping):
        return language
    return {**language, "limits": {name: value for name, value in limits.items() if name not in gone}}
