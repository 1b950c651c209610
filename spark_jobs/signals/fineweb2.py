"""What FineWeb-2 asks for beyond FineWeb (Penedo et al. 2025, arXiv:2506.20920, section 3.4): stop words of the
language that a text is in.

FineWeb-2 takes its lists from word frequencies in reference text. Here each language has a short list of articles,
pronouns, conjunctions and prepositions, and the list that a text has most of counts, so that no language has to be
known before. Chinese and Japanese are told by single characters, as their words are. Thai has no list: its words are
not cut as a dictionary would.
"""

from __future__ import annotations

from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.signals.gopher_quality import STOP_WORDS
from spark_jobs.signals.signal import Limits, Signal

_TABLE = """
ar في من على إلى أن هذا التي الذي عن مع كان لا
de der die das und in den von zu mit ist nicht auf für dem ein eine
es de la que el en y los del se las por un para con una no
fr de la le et les des en un du une que est pour dans qui au
hi के में की है और से का को पर यह एक हैं
it di e il la che in un a per è del una non sono i con
ja の に は を た が で て と し
ko 이 그 및 수 있는 것 등 있다 한 더 또는 그리고
nl de van het een en in is dat op te zijn met voor niet die er
pl w i na z się do nie jest to że o od po jak za przez
pt de a o que e do da em um para com não uma os no se
ru и в не на что с по как это из у за от к о для
tr ve bir bu da de için ile olarak çok daha gibi olan en ne her
vi và của là có các cho trong được một người với không đã này
zh 的 是 在 了 和 不 有 人 一 中
"""

STOP_WORDS_BY_LANGUAGE = {"en": STOP_WORDS} | {
    line.split()[0]: frozenset(line.split()[1:]) for line in _TABLE.strip().splitlines()
}
"""Lower case, by language."""


def stop_word_count(view: TextView) -> int:
    return max(len(words & view.vocabulary.keys()) for words in STOP_WORDS_BY_LANGUAGE.values())


STOP_WORD_COUNT = Signal(
    family="fineweb2",
    name="stop_word_count",
    type="long",
    description=f"different stop words, in lower case, of the one of {len(STOP_WORDS_BY_LANGUAGE)} languages that the "
    f"text has most of",
    source="Penedo et al. 2025, section 3.4, with lists of our own",
    measure=stop_word_count,
    default=Limits(min=2),
    at_most=max(map(len, STOP_WORDS_BY_LANGUAGE.values())),
    examples=(("", 0), ("Der Hund und die Katze", 2), ("\u6211\u5728\u8fd9\u91cc\u3002", 1)),
)

FINEWEB2 = (STOP_WORD_COUNT,)
