from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from spark_jobs.kernels.pages.docstring_html import docstring_html


def test_sections_terms_lists_and_code_become_elements():
    docstring = """Compute the ``mean`` of :class:`~numpy.ndarray` & more.

Parameters
----------
a : array
    Values to average.
axis : int
    Axis along
    which to go.

Notes:
    Some words.

- one
- two

>>> mean([1 < 2])
1
"""
    assert docstring_html(docstring).split("\n") == [
        "<p>Compute the <code>mean</code> of <code>numpy.ndarray</code> &amp; more.</p>",
        "<h3>Parameters</h3>",
        "<dl><dt>a : array</dt><dd><p>Values to average.</p></dd><dt>axis : int</dt><dd><p>Axis along which to "
        "go.</p></dd></dl>",
        "<h3>Notes</h3>",
        "<p>Some words.</p>",
        "<ul><li>one</li><li>two</li></ul>",
        "<pre>&gt;&gt;&gt; mean([1 &lt; 2])",
        "1</pre>",
    ]


@given(st.text(alphabet=st.sampled_from(list("ab:.-=*`<>& \n\t|>1)")), max_size=200))
def test_any_docstring_becomes_well_formed_html(docstring):
    html.fragments_fromstring(docstring_html(docstring))
