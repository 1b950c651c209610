"""What a policy asks of a pipeline: models that give the scores it looks at, and languages that the language model
knows."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.plumbing.errors import UsageError, near_names
from spark_jobs.kernels.models.language_codes import short_name
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.signal_rules import SIGNAL_OF_KEY


def require_models(policy: Policy, configured: Iterable[str]) -> None:
    """Raises `UsageError` where the policy looks at the score of a model that is not among the configured kinds: it
    would reject nothing, silently."""
    given = set(configured)
    for key in policy.signal_keys:
        model = SIGNAL_OF_KEY[key].model
        if model is not None and model not in given:
            raise UsageError(
                f"policy {policy.name} looks at {key}, but score_signals has no {model} model, so it would never be "
                f"measured: {_how_to_give(model)}"
            )


def _how_to_give(model: str) -> str:
    if model == "bad_words":
        return "give a folder with a list for each language, --set score_signals.bad_words=DIR"
    if model == "perplexity":
        return (
            "corpus train perplexity makes one for a language, --set score_signals.models.perplexity.LANGUAGE=FILE "
            "names it"
        )
    return f"corpus train classifier --kind {model} makes one, --set score_signals.models.{model}=FILE names it"


def require_languages(policy: Policy, labels: Iterable[str]) -> None:
    """Raises `UsageError` where the policy names a language that the language model does not: no document would ever
    have it."""
    known = set(labels)
    of_buckets = policy.buckets.limits if policy.buckets is not None else {}
    of_rules = (
        name for rule in policy.column_rules if rule.column == "language" for name in rule.any_of + rule.none_of
    )
    for name in (*(rule.language for rule in policy.languages), *policy.language_weights, *of_buckets, *of_rules):
        if name not in known:
            near = f" (perhaps {short_name(name)})" if short_name(name) in known else near_names(name, known)
            raise UsageError(
                f"policy {policy.name} names language {name}, which is none of the {len(known):,} labels of the "
                f"language model{near}"
            )
