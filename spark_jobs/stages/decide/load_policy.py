"""A policy from its name, its file or its keys, with those that it extends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.plumbing.configuration import describe_validation_error, dotted, load_config, read_yaml
from schemas.plumbing.errors import UsageError, near_names
from spark_jobs.recipes import bundled
from spark_jobs.stages.decide.extends import Values, extended, item_names
from spark_jobs.stages.decide.policy import Policy

CHANGED = "-changed"
"""Stands behind the name of a policy that is like the one of that name but for some changes."""


def resolve_policy(value: Any) -> Any:
    """A bundled policy's name, the path of a YAML file, or the keys of a policy that extends another become the policy
    itself, so that whoever hashes a configuration hashes its rules. All else is returned as it is.

    Raises `UsageError` where there is no such policy, or it has a fault.
    """
    if isinstance(value, Mapping) and "extends" in value:
        return _gathered(value, _changes_of(value["extends"]), ()).policy()
    if isinstance(value, str | Path):
        path = _path_of(value)
        values = read_yaml(path)
        return _gathered(values, str(path), (path,)).policy() if "extends" in values else load_config(Policy, path)
    return value


@dataclass(frozen=True)
class _Gathered:
    """The keys of a policy with those of all that it extends, and the keys of the last of them with a name of its
    own."""

    where: str
    values: Values
    named: Values

    def policy(self) -> Policy:
        """A policy without a name of its own that differs from the one that it extends is `NAME-changed`."""
        policy = _validated(self.values, self.where)
        if self.values is self.named or policy == _validated(self.named, self.where):
            return policy
        return policy.model_copy(update={"name": f"{policy.name.removesuffix(CHANGED)}{CHANGED}"})


def _gathered(values: Mapping[str, Any], where: str, chain: tuple[Path, ...]) -> _Gathered:
    """`chain` holds the files that led here."""
    own = {key: value for key, value in values.items() if key != "extends"}
    if "extends" not in values:
        return _Gathered(where, own, own)
    base = _base(values["extends"], where, chain)
    merged = extended(base.values, own, where)
    return _Gathered(where, merged, merged if "name" in own else base.named)


def _base(value: Any, where: str, chain: tuple[Path, ...]) -> _Gathered:
    if isinstance(value, Policy):
        return _gathered(value.model_dump(), where, chain)
    if isinstance(value, Mapping):
        return _gathered(value, where, chain)
    if not isinstance(value, str | Path):
        raise UsageError(f"{where}: extends: must be the name of a policy or a file, not {value!r}")
    path = _path_of(value, f"{chain[-1]}: extends: " if chain else "")
    if any(path.samefile(other) for other in chain):
        circle = " -> ".join(map(str, (*chain, path)))
        raise UsageError(f"{where}: extends: the policies extend each other in a circle: {circle}")
    base = _gathered(read_yaml(path), str(path), (*chain, path))
    # A fault of the base is told as one of its own file.
    _validated(base.values, base.where)
    return base


def _changes_of(base: Any) -> str:
    """What messages say of keys that stand in no policy file."""
    while isinstance(base, Mapping) and "extends" in base:
        base = base["extends"]
    name = base.get("name", "without a name") if isinstance(base, Mapping) else base
    return f"changes of policy {name}"


def _path_of(value: str | Path, where: str = "") -> Path:
    policies = bundled("policy")
    path = policies.get(str(value), Path(value))
    if not path.is_file():
        near = near_names(str(value), policies)
        raise UsageError(
            f"{where}policy {value}: neither a file nor a bundled policy{near}; bundled are {', '.join(policies)}"
        )
    return path


def _validated(values: Values, where: str) -> Policy:
    """Faults of rules and languages are told by their names: their places in the whole list stand in no file."""
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        names = item_names(values)

        def key_of(path: tuple[int | str, ...]) -> str:
            if len(path) > 1 and path[0] in names and isinstance(path[1], int):
                return dotted((path[0], names[str(path[0])][path[1]], *path[2:]))
            return dotted(path)

        raise UsageError(describe_validation_error(error, where, key_of)) from None
