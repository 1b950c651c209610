import hashlib
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.gates.image_hash import is_image, nearest_distance, pdq_hash
from spark_jobs.kernels.gates.keyword_search import KeywordSearch, url_words
from spark_jobs.kernels.gates.safety_gate import (
    Config,
    Match,
    SafetyGate,
    _holds,
    _sorted_digests,
    evidence_json,
    safety_lists,
)

PAYLOAD = b"a file that is on a list"


def picture(seed: int, size: tuple[int, int] = (400, 300), kind: str = "PNG") -> bytes:
    """Soft shapes: a few random colours, enlarged."""
    colours = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def written(folder, name: str, *entries: str):
    path = folder / name
    path.write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8")
    return path


def test_payloads_are_known_by_their_digests(tmp_path):
    digests = [hashlib.sha256(bytes([i])).hexdigest() for i in range(200)]
    sha256 = written(
        tmp_path, "a.txt", "# digests", *digests, hashlib.sha256(PAYLOAD).hexdigest().upper() + "  file.jpg"
    )
    md5 = written(tmp_path, "b.csv", hashlib.md5(PAYLOAD).hexdigest() + ",kind 3")
    gate = SafetyGate(Config(sha256_lists=(sha256,), md5_lists=(md5,)))
    assert gate.payload_matches(PAYLOAD, "video/mp4") == (Match("sha256", "a.txt"), Match("md5", "b.csv"))
    assert all(gate.payload_matches(bytes([i]), None) == (Match("sha256", "a.txt"),) for i in range(200))
    assert gate.payload_matches(PAYLOAD + b" ", None) == ()


def test_digests_that_end_in_zero_bytes_are_compared_whole(tmp_path):
    digests = [b"\0" * 32, b"\1" + b"\0" * 31, b"\1\0\1" + b"\0" * 29]
    table = _sorted_digests("sha256", written(tmp_path, "zeros.txt", *(digest.hex() for digest in digests)))
    assert [_holds(table, digest) for digest in digests] == [True] * 3
    assert not any(_holds(table, digest) for digest in (b"\2" + b"\0" * 31, b"\1\1" + b"\0" * 30, b"\xff" * 32))


def test_an_image_is_known_in_another_size_and_format(tmp_path):
    value, quality = pdq_hash(picture(1))
    gate = SafetyGate(Config(pdq_lists=(written(tmp_path, "pdq.txt", pdq_hash(picture(2))[0].hex(), value.hex()),)))
    assert quality >= 50
    [match] = gate.payload_matches(picture(1, (800, 600), "JPEG"), "image/jpeg")
    assert (match.evidence, match.list) == ("pdq", "pdq.txt")
    assert 0 <= match.distance <= 31
    assert gate.payload_matches(picture(3), "image/png") == ()
    assert gate.payload_matches(picture(1), "text/html") != ()


def test_images_without_detail_and_broken_ones_match_nothing(tmp_path):
    gate = SafetyGate(Config(pdq_lists=(written(tmp_path, "pdq.txt", "00" * 32),)))
    plain = io.BytesIO()
    Image.new("RGB", (300, 300)).save(plain, "PNG")
    assert gate.payload_matches(plain.getvalue(), "image/png") == ()
    for broken in (b"", b"\x89PNG", picture(1)[:100], b"GIF89a" + b"\xff" * 100):
        assert gate.payload_matches(broken, "image/png") == ()


def test_an_image_of_too_many_pixels_is_not_decoded():
    file = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(file, "PNG")
    assert is_image(file.getvalue(), None)
    assert pdq_hash(file.getvalue()) is None


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5), st.binary(min_size=32, max_size=32))
def test_the_nearest_distance_is_that_of_the_bits(known, value):
    rows = np.frombuffer(b"".join(known), dtype=np.uint64).reshape(-1, 4)
    assert nearest_distance(value, rows) == min(
        (int.from_bytes(row) ^ int.from_bytes(value)).bit_count() for row in known
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Word stands alone.", {"word"}),
        ("swords and wordy", set()),
        ("word-for-word, WORD", {"word"}),
        ("two\n words here", {"two words"}),
        ("stra\u00dfe", {"strasse"}),
        ("\uff37\uff2f\uff32\uff24", {"word"}),
        ("\u8fd9\u662f\u5173\u952e\u8bcd\u5417", {"\u5173\u952e\u8bcd"}),
        ("\u0915\u093f word\u093f", set()),
        ("word" * 3, set()),
        ("word's two words", {"word", "two words"}),
        ("", set()),
    ],
)
def test_keywords_are_whole_words_in_any_script(text, found):
    search = KeywordSearch({"list": ["word", "Two  Words", "STRASSE", "\u5173\u952e\u8bcd", "\u0915"]})
    assert set(search.find(text)) == found


def test_a_url_is_read_as_words():
    search = KeywordSearch({"list": ["two words", "\u0441\u043b\u043e\u0432\u043e"]})
    assert len(search.find(url_words("http://a.example/two_words/%D1%81%D0%BB%D0%BE%D0%B2%D0%BE"))) == 2


def test_keywords_count_once_over_url_title_and_text(tmp_path):
    lists = (written(tmp_path, "one.txt", "alpha", "beta"), written(tmp_path, "two.txt", "beta", "gamma"))
    gate = SafetyGate(Config(keyword_lists=lists, min_keywords=2))
    assert gate.keyword_matches("http://alpha.example/", ["alpha", "Alpha alpha", None]) == ()
    assert gate.keyword_matches("http://alpha.example/", ["gamma"]) == (
        Match("keyword", "one.txt"),
        Match("keyword", "two.txt"),
    )
    assert gate.keyword_matches(None, ["beta"]) == ()
    assert SafetyGate(Config(keyword_lists=lists)).keyword_matches(None, ["beta"]) == (
        Match("keyword", "one.txt"),
        Match("keyword", "two.txt"),
    )


def test_evidence_names_lists_and_the_payload_s_digest_only():
    matches = [Match("keyword", "one.txt"), Match("pdq", "two.txt", 3), Match("keyword", "one.txt")]
    assert json.loads(evidence_json(matches, PAYLOAD)) == {
        "payload_sha256": hashlib.sha256(PAYLOAD).hexdigest(),
        "matches": [
            {"evidence": "keyword", "list": "one.txt", "distance": None},
            {"evidence": "pdq", "list": "two.txt", "distance": 3},
        ],
    }
    assert json.loads(evidence_json(matches, None))["payload_sha256"] is None


@pytest.mark.parametrize("reason", ["", "no", True, False])
def test_the_gate_goes_off_for_a_reason_in_words_only(reason):
    with pytest.raises(ValidationError):
        Config(off=reason)


def test_a_gate_that_is_off_reads_no_list(tmp_path):
    config = Config(off="the archive was screened before", keyword_lists=(tmp_path / "missing.txt",))
    gate = SafetyGate(config)
    assert gate.keyword_matches(None, ["word"]) == () and not gate.examines_payloads
    assert safety_lists(config) == {}


def test_lists_that_are_no_lists_are_errors_of_one_line(tmp_path):
    (tmp_path / "other").mkdir()
    same = (written(tmp_path, "a.txt", "word"), written(tmp_path / "other", "a.txt", "word"))
    with pytest.raises(UsageError, match=r"safety\.keyword_lists: several files are named a\.txt"):
        safety_lists(Config(keyword_lists=same))
    with pytest.raises(UsageError, match=r"entry 2 is not 64 hexadecimal digits"):
        SafetyGate(Config(sha256_lists=(written(tmp_path, "b.txt", "00" * 32, "00" * 16),)))
    with pytest.raises(UsageError, match=r"missing\.txt: no list can be read there"):
        safety_lists(Config(md5_lists=(tmp_path / "missing.txt",)))
    assert list(safety_lists(Config(keyword_lists=same[:1]))) == [str(same[0])]
