"""Policies as old rows of the ledger hold them: signals and keys come and go, and what was decided long ago should
still be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from spark_jobs.stages.decide.policy import Policy


def recorded_policy(values: Mapping[str, Any]) -> tuple[Policy, tuple[str, ...]]:
    """The policy of an old ledger row as far as this version can read it, and what had to be left out of it, such as
    a rule on a signal that is gone."""
    kept, lost = dict(values), []
    while True:
        try:
            return Policy.model_validate(kept), tuple(lost)
        except ValidationError as error:
            # One fault at a time: leaving out an item moves those behind it.
            fault = error.errors()[0]
        path = [str(part) for part in fault["loc"][:2]]
        if not path or path[0] not in kept:
            return Policy(name="unreadable"), (*lost, fault["msg"])
        group = kept[path[0]]
        if len(path) == 2 and isinstance(group, list) and path[1].isdigit():
            item = group[int(path[1])]
            name = item.get("name") or item.get("signal") or item.get("language") if isinstance(item, dict) else item
            lost.append(f"{path[0]}: {name}")
            kept[path[0]] = [other for i, other in enumerate(group) if i != int(path[1])]
            if path[0] == "rules":
                kept["languages"] = [_without_limits(language, name) for language in kept.get("languages", ())]
        else:
            lost.append(path[0])
            del kept[path[0]]


def _without_limits(language: Any, rule: Any) -> Any:
    if not isinstance(language, dict) or not isinstance(language.get("limits"), dict):
        return language
    return {**language, "limits": {name: limits for name, limits in language["limits"].items() if name != rule}}
