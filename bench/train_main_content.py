"""Train what tells main content from the rest, and the type of a page: `python bench/train_main_content.py [--folds
N] [--write]`.

Pages with known main content give the labels: a word of a block counts as content where four words in a row around
it stand in the known text too. Figures are for pages of domains that the model has not seen: pages of one domain are
always in one fold. `--write` then trains on all pages and writes `block_model.json` and `page_type.json`. Needs
scikit-learn, which nothing else here does.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold_pages import ARTICLES, WEB_PAGES, GoldPage, gold_pages, token_f1, tokens
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from spark_jobs.kernels.pages import page_type
from spark_jobs.kernels.pages.block_features import block_features, feature_names
from spark_jobs.kernels.pages.main_content_blocks import is_article, second_opinion, select_blocks
from spark_jobs.kernels.pages.page_blocks import PageBlocks, page_blocks, parse_page
from spark_jobs.kernels.pages.page_metadata import PageMetadata, page_metadata

PACKAGE = Path(page_type.__file__).parent
TYPES = page_type.PAGE_TYPES[:-1]
SHINGLE = 4
MAX_PAGE_WEIGHT = 3.0
"""A page of few content words and much else would otherwise count for many."""
SET_WEIGHTS = {WEB_PAGES: 1.0, ARTICLES: 3.0}
"""The smaller set is of news, which most pages of a crawl resemble more than they do the larger one."""
BLOCKS_A_PAGE = 110
TYPE_FOLDS = 15
TREES = {
    "max_iter": 80,
    "learning_rate": 0.12,
    "max_leaf_nodes": 24,
    "min_samples_leaf": 60,
    "l2_regularization": 10.0,
    "max_bins": 63,
    "max_features": 0.3,
}
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """A gold page with all that is learned from it; `shares` and `words` are a number a block."""

    gold: GoldPage
    blocks: PageBlocks
    features: npt.NDArray[np.float32]
    types: list[float]
    article: str | None
    shares: Floats
    words: Floats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folds", type=int, default=4, help="folds of the cross-validation")
    parser.add_argument("--write", action="store_true", help="then train on all pages and write the models")
    arguments = parser.parse_args()
    pages = gold_pages()
    found = [page_facts(gold) for gold in pages]
    typed = [gold.gold_set == WEB_PAGES for gold in pages]
    table = np.array([page_type.type_features(blocks, metadata) for blocks, metadata in found])
    kinds = np.array([TYPES.index(gold.page_type) for gold in pages])
    likely_types = held_out_types(pages, table, kinds, typed)
    right = np.mean(likely_types[typed].argmax(axis=1) == kinds[typed])
    print(f"page type: {right:.3f} right on domains not seen, of {sum(typed)} pages", flush=True)
    samples = [
        sample(gold, *facts, likely.tolist()) for gold, facts, likely in zip(pages, found, likely_types, strict=True)
    ]
    held_out = cross_validate(samples, arguments.folds)
    for name, value in held_out.items():
        print(f"  {name}: {value:.4f}")
    if arguments.write:
        write_types(fit_types(table[typed], kinds[typed]), right)
        write_trees(fit_blocks(samples), held_out, arguments.folds)


def page_facts(gold: GoldPage) -> tuple[PageBlocks, PageMetadata]:
    root = parse_page(gold.page)
    return page_blocks(root) if root is not None else PageBlocks(), page_metadata(gold.page)


def sample(gold: GoldPage, blocks: PageBlocks, metadata: PageMetadata, types: list[float]) -> Sample:
    shares, words = content_shares(blocks.texts, gold.content)
    features = (
        block_features(blocks, metadata, types)
        if blocks.texts
        else np.zeros((0, len(feature_names())), dtype=np.float32)
    )
    return Sample(
        gold, blocks, features, types, second_opinion(gold.page) if is_article(types) else None, shares, words
    )


def content_shares(texts: list[str], content: str) -> tuple[Floats, Floats]:
    """For each block: the share of its words that are content, and its number of words."""
    split = [tokens(text) for text in texts]
    flat = [word for words in split for word in words]
    wanted = tokens(content)
    shingles = set(zip(*(wanted[shift:] for shift in range(SHINGLE)), strict=False))
    covered = np.zeros(len(flat), dtype=bool)
    for place, shingle in enumerate(zip(*(flat[shift:] for shift in range(SHINGLE)), strict=False)):
        if shingle in shingles:
            covered[place : place + SHINGLE] = True
    lines = {tuple(tokens(line)) for line in content.split("\n")}
    shares, end = [], 0
    for words in split:
        end += len(words)
        shares.append(1.0 if tuple(words) in lines else float(covered[end - len(words) : end].mean()) if words else 0.0)
    return np.array(shares), np.array([float(len(words)) for words in split])


def fold_of(page: GoldPage, folds: int) -> int:
    return zlib.crc32(page.domain.encode()) % folds


def held_out_types(pages: list[GoldPage], table: Floats, kinds: npt.NDArray[np.int64], typed: list[bool]) -> Floats:
    """(pages, types): probabilities from models that have not seen the page's domain; the blocks' model learns how
    far to believe them."""
    folds = np.array([fold_of(page, TYPE_FOLDS) for page in pages])
    likely = np.zeros((len(pages), len(TYPES)))
    for fold in range(TYPE_FOLDS):
        seen = np.array(typed) & (folds != fold)
        likely[folds == fold] = fit_types(table[seen], kinds[seen]).predict_proba(table[folds == fold])
    return likely


def fit_types(table: Floats, kinds: npt.NDArray[np.int64]) -> LogisticRegression:
    weights = 1 / np.sqrt(np.bincount(kinds, minlength=len(TYPES)))
    return LogisticRegression(C=0.5, max_iter=3000).fit(
        table, kinds, sample_weight=weights[kinds] / weights[kinds].mean()
    )


def fit_blocks(samples: list[Sample]) -> HistGradientBoostingClassifier:
    random = np.random.default_rng(0)
    features, labels, weights = [], [], []
    for one in samples:
        # What a mistake in a block costs in F1, roughly.
        weight = one.words / max(len(tokens(one.gold.content)), 50)
        weight *= SET_WEIGHTS[one.gold.gold_set] * min(1.0, MAX_PAGE_WEIGHT / max(weight.sum(), 1e-9))
        count = len(weight)
        chosen = np.sort(random.choice(count, min(count, BLOCKS_A_PAGE), replace=False))
        features.append(one.features[chosen])
        labels.append(one.shares[chosen] > 0.5)
        weights.append(weight[chosen] * max(1.0, count / BLOCKS_A_PAGE))
    weight = np.concatenate(weights)
    used = weight > 0
    model = HistGradientBoostingClassifier(**TREES, early_stopping=False, random_state=0)
    return model.fit(
        np.concatenate(features)[used], np.concatenate(labels)[used], sample_weight=weight[used] / weight[used].mean()
    )


def cross_validate(samples: list[Sample], folds: int) -> dict[str, float]:
    """Mean token F1 by set, and by type within the first, of pages whose domain the model has not seen."""
    scores = defaultdict(list)
    for fold in range(folds):
        model = fit_blocks([one for one in samples if fold_of(one.gold, folds) != fold])
        for one in samples:
            if fold_of(one.gold, folds) == fold:
                text = ""
                if one.blocks.texts:
                    likely = model.predict_proba(one.features)[:, 1]
                    text = "\n".join(
                        one.blocks.texts[place] for place in select_blocks(one.blocks, likely, one.article)
                    )
                score = token_f1(text, one.gold.content)
                scores[one.gold.gold_set].append(score)
                if one.gold.gold_set == WEB_PAGES:
                    scores[one.gold.page_type].append(score)
        print(f"fold {fold + 1} of {folds} done", flush=True)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def write_types(model: LogisticRegression, accuracy: float) -> None:
    weights = [[round(weight, 4) for weight in row] for row in model.coef_.tolist()]
    biases = [round(bias, 4) for bias in model.intercept_.tolist()]
    content = {"held_out_accuracy": round(float(accuracy), 4), "types": TYPES, "biases": biases, "weights": weights}
    (PACKAGE / "page_type.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def write_trees(model: HistGradientBoostingClassifier, held_out: dict[str, float], folds: int) -> None:
    """The trees as `block_model.BlockModel` reads them, with how they were made and what they are worth."""
    trees = [splits(predictor.nodes) for (predictor,) in model._predictors]
    made = {
        "program": "bench/train_main_content.py",
        "folds": folds,
        "trees": TREES,
        "held_out_f1": {name: round(value, 4) for name, value in held_out.items()},
    }
    content = {
        "made": made,
        "features": feature_names(),
        "bias": float(model._baseline_prediction[0, 0]),
        "trees": [tree for tree in trees if tree["columns"]],
    }
    (PACKAGE / "block_model.json").write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def splits(nodes: npt.NDArray[np.void]) -> dict[str, list[float]]:
    """The splits of a tree, and the values of its leaves from left to right; a split's survivors are the leaves that
    are not on its left."""
    tree: dict[str, list[float]] = {"columns": [], "thresholds": [], "survivors": [], "values": []}

    def descend(place: int) -> None:
        node = nodes[place]
        if node["is_leaf"]:
            tree["values"].append(round(float(node["value"]), 5))
            return
        split = len(tree["columns"])
        tree["columns"].append(int(node["feature_idx"]))
        tree["thresholds"].append(float(f"{node['num_threshold']:.7g}"))
        tree["survivors"].append(0)
        first = len(tree["values"])
        descend(int(node["left"]))
        left = (1 << len(tree["values"])) - (1 << first)
        tree["survivors"][split] = 0xFFFFFFFF ^ left
        descend(int(node["right"]))

    descend(0)
    return tree


if __name__ == "__main__":
    main()
