"""Training of language models, language identification and classifiers, on small real texts."""

from __future__ import annotations

import gzip
import random
import subprocess
from itertools import product
from pathlib import Path

import pytest

from schemas.plumbing.errors import HeadwaterError, UsageError
from spark_jobs.kernels.measures.sentences import split_sentences
from spark_jobs.kernels.models.classifier import Classifier, ClassifierCard, ClassifierModel, SentenceClassifier
from spark_jobs.kernels.models.document_scorer import DocumentScorer, ModelsConfig, load_scorer, model_files
from spark_jobs.kernels.models.fasttext_model import FastTextConfig, FastTextModel, bundled_language_model, train
from spark_jobs.kernels.models.kenlm_model import LanguageModel, LanguageModelCard
from spark_jobs.kernels.models.model_card import read_card
from spark_jobs.kernels.models.model_scores import SentenceScores
from spark_jobs.kernels.models.training_texts import in_holdout, read_documents
from spark_jobs.models.classifier import ClassifierConfig, train_classifier
from spark_jobs.models.language_id import LanguageIdConfig, evaluate_language_id, train_language_id
from spark_jobs.models.perplexity import LanguageModelConfig, find_tool, policy_lines, train_language_model
from spark_jobs.stages.measure import score_signals

SPEECH = "^### "


def have_lmplz() -> bool:
    try:
        return bool(find_tool("lmplz") and find_tool("query"))
    except UsageError:
        return False


needs_lmplz = pytest.mark.skipif(not have_lmplz(), reason="lmplz and query are not built: bash .ci/build_lmplz.sh")


@pytest.fixture(scope="module")
def speech_model(shared_data, tmp_path_factory):
    """A 5-gram model of four in five speeches, and the speeches that it has not seen."""
    folder, config = tmp_path_factory.mktemp("speeches"), LanguageModelConfig(holdout=0.2)
    path = shared_data / "text" / "us-presidential-speeches.txt.gz"
    train_language_model((path,), SPEECH, folder, "en", config)
    return folder / "en.bin", [
        text for text in read_documents((path,), SPEECH) if in_holdout(text, config.holdout, config.seed)
    ]


@needs_lmplz
def test_perplexities_are_those_of_kenlm_s_own_query_tool(speech_model):
    path, speeches = speech_model
    model = LanguageModel(path)
    for text in [*speeches[:3], "Zyx wvu 1984!\n\nOne more line, \u00e9t\u00e9."]:
        lines = model.prepare.lines(text)
        answer = subprocess.run(
            [find_tool("query"), "-v", "sentence", str(path)],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        totals = [float(line.split()[1]) for line in answer.stdout.splitlines() if line.startswith("Total:")]
        assert len(totals) == len(lines)
        expected = 10 ** (-sum(totals) / sum(len(line.split()) + 1 for line in lines))
        assert model.perplexity(text) == pytest.approx(expected, rel=1e-5)


@needs_lmplz
def test_the_head_of_speeches_mixed_with_shuffled_ones_is_speeches(speech_model):
    path, speeches = speech_model
    model, chooser = LanguageModel(path), random.Random(0)

    def shuffled(text: str) -> str:
        lines = [line.split() for line in text.split("\n")]
        for words in lines:
            chooser.shuffle(words)
        return "\n".join(" ".join(words) for words in lines)

    mixed = sorted(
        [(model.perplexity(text), True) for text in speeches]
        + [(model.perplexity(shuffled(text)), False) for text in speeches]
    )
    for head in (
        mixed[: int(0.3 * len(mixed))],
        [pair for pair in mixed if pair[0] <= {p.percentile: p.perplexity for p in model.card.percentiles}[90]],
    ):
        assert len(head) >= 10
        assert sum(is_speech for _, is_speech in head) / len(head) >= 0.95


@needs_lmplz
def test_a_language_model_has_a_card_with_percentiles_and_comes_out_equal_twice(tmp_path):
    (tmp_path / "text.txt").write_text(
        "".join(
            f"The {a} {b} {c}.\n\n" for a, b, c in product(["red", "old", "big"], ["cat", "dog", "hen"], ["sat", "ran"])
        )
    )
    cards = [
        train_language_model(
            (tmp_path / "text.txt",), None, tmp_path / name, "en", LanguageModelConfig(order=3, holdout=0.3)
        )
        for name in ("1", "2")
    ]
    assert cards[0] == cards[1] == read_card(tmp_path / "1" / "en.bin", LanguageModelCard)
    assert cards[0].training_documents + cards[0].holdout_documents == 18
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["en.bin", "en.json"]
    values = [point.perplexity for point in cards[0].percentiles]
    assert values == sorted(values)
    assert f"limits: {{en: [{values[6]:g}, {values[9]:g}]}}" in policy_lines(cards[0])[-1]
    model = LanguageModel(tmp_path / "1" / "en.bin")
    assert model.perplexity(" \n") is None
    assert model.perplexity("the red cat sat.") < model.perplexity("sat cat red the.")


@needs_lmplz
def test_sentencepiece_pieces_may_be_the_tokens(tmp_path):
    import sentencepiece

    text = tmp_path / "text.txt"
    text.write_text(
        "".join(
            f"the {a} {b} sat on the {c}.\n\n"
            for a, b, c in product(["red", "old", "big"], ["cat", "dog", "hen"], ["mat", "hat", "bed"])
        )
    )
    options = {"vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(input=str(text), model_prefix=str(tmp_path / "en.sp"), **options)
    card = train_language_model(
        (text,),
        None,
        tmp_path / "out",
        "en",
        LanguageModelConfig(order=3, holdout=0.3, tokenizer=tmp_path / "en.sp.model"),
    )
    assert (card.tokenizer, card.percentiles[0].perplexity > 0) == ("en.sp.model", True)
    files = model_files(ModelsConfig(perplexity={"en": tmp_path / "out" / "en.bin"}))
    assert [Path(name).name for name in files] == ["en.bin", "en.json", "en.sp.model"]


def test_a_language_model_without_a_card_or_with_another_s_is_refused(tmp_path):
    model = tmp_path / "en.bin"
    for content, message in ((None, "no such language model"), ("", "its card en.json is missing")):
        if content is not None:
            model.write_text(content)
        with pytest.raises(UsageError, match=message):
            LanguageModel(model)
    (tmp_path / "en.json").write_text('{"kind": "perplexity", "sha256": "00"}')
    with pytest.raises(UsageError, match="not the model that its card describes"):
        model_files(ModelsConfig(perplexity={"en": model}))
    (tmp_path / "en.json").write_text('{"kind": "perplexity", "tokenizer": "en.sp.model"}')
    with pytest.raises(UsageError, match=r"its tokenizer en\.sp\.model is not beside it"):
        LanguageModel(model)


def test_missing_tools_and_texts_are_named(tmp_path, monkeypatch):
    (tmp_path / "blank.txt").write_text("\n \n")
    if have_lmplz():
        with pytest.raises(UsageError, match="no text to train on"):
            train_language_model((tmp_path / "blank.txt",), None, tmp_path / "out", "en", LanguageModelConfig())
        (tmp_path / "one.txt").write_text("Just one text.\n")
        with pytest.raises(UsageError, match="none of 1 documents fell into the hold-out"):
            train_language_model(
                (tmp_path / "one.txt",), None, tmp_path / "out", "en", LanguageModelConfig(holdout=0.001)
            )
        assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="lmplz-of-old is not installed"):
        find_tool("lmplz-of-old")


def test_languages_are_told_apart_on_texts_kept_back(shared_data, tmp_path):
    wanted = {"deu", "eng", "fra", "jpn", "nld", "rus", "spa"}
    lines: dict[str, list[str]] = {code: [] for code in wanted}
    with gzip.open(shared_data / "text" / "tatoeba.tsv.gz", "rt", encoding="utf-8") as file:
        for line in file:
            code = line.partition("\t")[0]
            if code in wanted and len(lines[code]) < 600:
                lines[code].append(line)
    (tmp_path / "some.tsv").write_text(
        "".join(line for code in sorted(wanted) for line in lines[code]), encoding="utf-8"
    )
    config = LanguageIdConfig(
        fasttext=FastTextConfig(lr=0.8, word_ngrams=1, minn=1, maxn=4, min_count=1, dim=16, bucket=50_000)
    )
    card, holdout = train_language_id((tmp_path / "some.tsv",), tmp_path / "languages.bin", config)
    assert card.holdout_documents == len(holdout) > 300
    assert {figure.label for figure in card.languages} == {"de", "en", "fr", "ja", "nl", "ru", "es"}
    assert card.macro_accuracy > 0.9
    shipped = evaluate_language_id(Path(bundled_language_model()), holdout, config)
    assert shipped.known_languages == 7
    assert shipped.macro_accuracy > 0.8
    assert FastTextModel(str(tmp_path / "languages.bin")).top_labels(["Der Fluss flie\u00dft ins Meer."])[0] == ["de"]


def test_a_training_that_diverges_ends_loudly_and_leaves_no_model(tmp_path):
    examples = [("a", "x y z"), ("b", "u v w")] * 50
    with pytest.raises(HeadwaterError, match="lower learning rate"):
        train(examples, tmp_path / "model.bin", FastTextConfig(lr=1e9, min_count=1, bucket=100))
    assert list(tmp_path.iterdir()) == []


def test_the_same_texts_give_the_same_model_and_pages_cannot_forge_a_label(tmp_path):
    examples = [("a", "x y z"), ("b", "u v w </s> __label__a __label____label__a x")] * 50
    models = [tmp_path / "1.bin", tmp_path / "2.bin"]
    for model in models:
        assert train(examples, model, FastTextConfig(min_count=1, bucket=100)) == 100
    assert models[0].read_bytes() == models[1].read_bytes()
    loaded = FastTextModel(str(models[0]))
    assert loaded.labels == ("a", "b")
    plain, forged = loaded.probabilities(["x y z b u", "x y z </s> __label__b u"], "a")
    assert plain == pytest.approx(forged)


def sentences(pattern: str, *words: str) -> list[str]:
    return [pattern.format(*chosen) for chosen in product(*(group.split() for group in words))]


GOOD = sentences(
    "The {} {} is {}.", "tall green quiet old", "tree river hill meadow barn", "lovely calm bright near far"
)
BAD = sentences(
    "You {} {}, {} off!", "grumbly soggy wobbly daft", "flumph bumble snork twit doofus", "sod buzz push shove hop"
)


@pytest.fixture(scope="module")
def toxicity_model(tmp_path_factory):
    """No labelled toxicity is at hand: mild words of our own show that the machinery works, not how well real abuse
    is found."""
    path = tmp_path_factory.mktemp("toxicity") / "toxicity.bin"
    examples = [("negative", text) for text in GOOD] + [("positive", text) for text in BAD]
    config = ClassifierConfig(fasttext=FastTextConfig(bucket=1000, min_count=1, dim=8, epoch=25))
    return path, train_classifier("toxicity", examples, "positive", (), path, config)


def test_a_classifier_has_figures_of_its_holdout_in_its_card(toxicity_model):
    path, card = toxicity_model
    assert read_card(path, ClassifierCard) == card
    assert card.training_documents + card.holdout_documents == 200
    assert (card.accuracy, card.auc, card.confusions) == (1.0, 1.0, ())
    assert [(figure.label, figure.precision, figure.recall) for figure in card.labels] == [
        ("negative", 1.0, 1.0),
        ("positive", 1.0, 1.0),
    ]
    assert [threshold.share for threshold in card.thresholds] == [0.01, 0.05, 0.1, 0.2, 0.5]
    assert card.calibration[0].share == 0.0
    assert card.calibration[-1].share == 1.0


def test_one_bad_sentence_shows_in_a_long_text(toxicity_model):
    path, _ = toxicity_model
    classifier = Classifier(SentenceClassifier(path=path), kind="toxicity")
    clean, mixed = classifier.sentence_scores(GOOD[:9]), classifier.sentence_scores([*GOOD[:9], BAD[0]])
    assert clean.maximum < 0.4 < mixed.maximum
    assert (clean.fraction, mixed.fraction) == (0.0, 0.1)
    assert classifier.sentence_scores(split_sentences("")) == SentenceScores(0.0, 0.0)


def test_calibrated_probabilities_come_from_the_card(toxicity_model):
    path, _ = toxicity_model
    corrected = Classifier(ClassifierModel(path=path, calibrated=True), kind="toxicity")
    assert corrected.probability(BAD[3]) > 0.99
    assert corrected.probability(GOOD[3]) == 0.0


def test_a_classifier_of_another_kind_or_label_is_refused(toxicity_model, tmp_path):
    path, _ = toxicity_model
    bare = tmp_path / "bare.bin"
    bare.write_bytes(path.read_bytes())
    for config, message in (
        (ModelsConfig(quality={"path": path}), "it is a toxicity model, not a quality model"),
        (ModelsConfig(toxicity={"path": path, "label": "positve"}), "has no label positve; it has positive"),
        (ModelsConfig(quality={"path": bare}), "which label counts"),
        (ModelsConfig(quality={"path": bare, "label": "positive", "calibrated": True}), "has no calibration table"),
        (ModelsConfig(topic={"path": tmp_path / "nothing.bin"}), "no such fastText model"),
    ):
        with pytest.raises(UsageError, match=message):
            model_files(config)
    assert list(model_files(ModelsConfig(quality={"path": bare, "label": "positive"}))) == [str(bare)]


def test_a_pipeline_that_names_a_missing_model_is_refused_when_it_is_read(tmp_path):
    for models in ({"quality": str(tmp_path / "nothing.bin")}, {"perplexity": {"en": tmp_path / "nothing.bin"}}):
        with pytest.raises(UsageError, match=r"nothing\.bin: no such"):
            score_signals.Config.model_validate({"models": models})


def test_texts_that_do_not_suffice_are_counted(tmp_path):
    with pytest.raises(UsageError, match="there are 1 negative, 1 positive; kept back none"):
        train_classifier(
            "quality",
            [("positive", "one text"), ("negative", "")],
            "positive",
            (),
            tmp_path / "m.bin",
            ClassifierConfig(holdout=0.01),
        )


def test_topics_have_a_label_and_models_judge_their_languages_only(toxicity_model, tmp_path):
    examples = [("farm", text) for text in GOOD] + [("quarrel", text) for text in BAD]
    config = ClassifierConfig(fasttext=FastTextConfig(bucket=1000, min_count=1, dim=8, epoch=25))
    card = train_classifier("topic", examples, None, (), tmp_path / "topic.bin", config)
    assert (card.positive, card.auc, card.accuracy) == (None, None, 1.0)
    models = ModelsConfig(topic=tmp_path / "topic.bin", toxicity={"path": toxicity_model[0], "languages": ["en"]})
    assert models.kinds() == {"topic", "toxicity"}
    english, german = (DocumentScorer(models).score(BAD[0], language) for language in ("en", "de"))
    assert english.topic.label == german.topic.label == "quarrel"
    assert english.toxicity.maximum > 0.5
    assert (german.toxicity, english.perplexity, english.quality, english.nsfw) == (None, None, None, None)


def test_a_model_that_is_replaced_at_the_same_path_is_read_again(tmp_path):
    path = tmp_path / "topic.bin"
    config = ClassifierConfig(fasttext=FastTextConfig(bucket=1000, min_count=1, dim=8, epoch=25))
    models = ModelsConfig(topic=path).model_dump_json()
    for good, bad in (("farm", "quarrel"), ("garden", "dispute")):
        train_classifier(
            "topic", [(good, text) for text in GOOD] + [(bad, text) for text in BAD], None, (), path, config
        )
        scorer = load_scorer(models)
        assert scorer.score(BAD[0], "en").topic.label == bad
        assert load_scorer(models) is scorer
