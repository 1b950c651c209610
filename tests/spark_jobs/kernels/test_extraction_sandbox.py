from pathlib import Path

import pytest

from spark_jobs.kernels.pages.extraction_sandbox import Extraction, ExtractionSandbox

HOSTILE = "hostile_extractors:misbehaving"


@pytest.fixture(scope="module")
def sandbox():
    with pytest.MonkeyPatch.context() as patch, _sandbox(patch) as sandbox:
        yield sandbox


def _sandbox(patch):
    patch.syspath_prepend(Path(__file__).parent)
    return ExtractionSandbox(HOSTILE, max_seconds=3.0, max_memory_mib=1024, pages_per_child=3)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("HANG", "timeout"),
        ("CRASH", "crashed"),
        ("GREEDY", "out_of_memory"),
        ("RAISE", "extractor_error"),
        ("PRINT", None),
    ],
)
def test_a_hostile_page_has_a_reason_and_the_next_page_its_text(sandbox, page, reason):
    assert sandbox.extract(f"<p>{page}</p>".encode(), "utf-8").reason == reason
    assert sandbox.extract("<title>A</title><p>caf\u00e9</p>".encode(), "utf-8") == Extraction(
        text="Acaf\u00e9", title="A", charset="utf-8"
    )


def test_the_child_is_replaced_after_its_number_of_pages(sandbox):
    sandbox.stop()
    children = []
    for _ in range(7):
        sandbox.extract(b"<p>a</p>", None)
        children.append(sandbox._child.pid)
    assert [children.count(child) for child in dict.fromkeys(children)] == [3, 3, 1]
    assert not Path(f"/proc/{children[0]}").exists()


def test_the_child_is_replaced_when_it_has_grown(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with ExtractionSandbox(
        HOSTILE, max_seconds=60.0, max_memory_mib=2048, pages_per_child=100, max_resident_mib=200
    ) as sandbox:
        children = []
        for page in (b"<p>a</p>", b"<p>GROW</p>", b"<p>b</p>", b"<p>c</p>"):
            assert sandbox.extract(page, None).reason is None
            children.append(sandbox._child and sandbox._child.pid)
    assert children[1] is None
    assert children[0] != children[2] == children[3]


def test_a_page_larger_than_any_pipe_passes(sandbox):
    assert len(sandbox.extract(b"<p>" + b"a" * 5_000_000 + b"</p>", "utf-8").text) == 5_000_000


def test_an_extractor_that_does_not_exist_is_named():
    sandbox = ExtractionSandbox("no_such_module:extract", max_seconds=1.0, max_memory_mib=512, pages_per_child=1)
    with pytest.raises(RuntimeError, match="extractor 'no_such_module:extract' does not start"):
        sandbox.extract(b"", None)


@pytest.mark.parametrize("extractor", ["trafilatura", "trafilatura-fast", "trafilatura-precision", "resiliparse"])
def test_each_extractor_keeps_the_article_and_drops_the_navigation(extractor):
    article = "".join(
        f"<p>This is paragraph {i} of an article about rivers, their sources and the mills along their banks.</p>"
        for i in range(8)
    )
    body = f"<nav><a href='/'>Home</a></nav><article><h1>Rivers</h1>{article}</article><footer>Imprint</footer>"
    page = f"<html><head><title>Rivers</title></head><body>{body}</body></html>"
    with ExtractionSandbox(extractor, max_seconds=60.0, max_memory_mib=2048, pages_per_child=10) as sandbox:
        found = sandbox.extract(page.encode(), "utf-8")
        assert found == sandbox.extract(page.encode(), "utf-8")
    assert found.title == "Rivers"
    assert "paragraph 7 of an article" in found.text
    assert "Imprint" not in found.text
