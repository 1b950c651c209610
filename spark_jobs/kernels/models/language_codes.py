"""Names of languages: from the codes that corpora and models use to one short name, so that their labels can be
compared.

The short name is the two-letter code of ISO 639-1 where there is one, else the three-letter code of ISO 639-3:
`deu`, `deu_Latn` and `de` are all `de`. Members of a macrolanguage whose standard form carries its name, such as
Mandarin for Chinese, count as it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

# ISO 639-3 and ISO 639-1 (registration authority's code tables).
_TWO_LETTERS = """
aar aa abk ab afr af aka ak amh am ara ar arg an asm as ava av ave ae aym ay aze az bak ba bam bm bel be ben bn bis bi
bod bo bos bs bre br bul bg cat ca ces cs cha ch che ce chu cu chv cv cor kw cos co cre cr cym cy dan da deu de div dv
dzo dz ell el eng en epo eo est et eus eu ewe ee fao fo fas fa fij fj fin fi fra fr fry fy ful ff gla gd gle ga glg gl
glv gv grn gn guj gu hat ht hau ha heb he her hz hin hi hmo ho hrv hr hun hu hye hy ibo ig ido io iii ii iku iu ile ie
ina ia ind id ipk ik isl is ita it jav jv jpn ja kal kl kan kn kas ks kat ka kau kr kaz kk khm km kik ki kin rw kir ky
kom kv kon kg kor ko kua kj kur ku lao lo lat la lav lv lim li lin ln lit lt ltz lb lub lu lug lg mah mh mal ml mar mr
mkd mk mlg mg mlt mt mon mn mri mi msa ms mya my nau na nav nv nbl nr nde nd ndo ng nep ne nld nl nno nn nor no nya ny
oci oc oji oj ori or orm om oss os pan pa pli pi pol pl por pt pus ps que qu roh rm ron ro run rn rus ru sag sg san sa
sin si slk sk slv sl sme se smo sm sna sn snd sd som so sot st spa es sqi sq srd sc srp sr ssw ss sun su swa sw swe sv
tah ty tam ta tat tt tel te tgk tg tgl tl tha th tir ti ton to tsn tn tso ts tuk tk tur tr twi tw uig ug ukr uk urd ur
uzb uz ven ve vie vi vol vo wln wa wol wo xho xh yid yi yor yo zha za zho zh zul zu
"""
# ISO 639-3 macrolanguage mappings: the member that is the standard form, and its macrolanguage. `bih` and `mly` are
# retired codes that are still met.
_MEMBERS = """
als sqi arb ara ayr aym azj aze cmn zho ekk est gug grn khk mon knc kau kng kon ktu kon lvs lav mly msa nob nor npi
nep ory ori pbu pus pes fas plt mlg quz que src srd swh swa uzn uzb ydd yid zsm msa zlm msa kmr kur
"""
# Wikipedia's names for its editions, which lid.176 has for labels, where they are not those of ISO 639.
_OF_WIKIPEDIA = {"als": "gsw", "bh": "bih", "eml": "egl", "nah": "nhn"}


def short_name(label: str) -> str:
    """The short name for a code of ISO 639 with or without what follows `_` (a script or a variant); other labels
    stay as they are."""
    code = label.partition("_")[0].lower()
    return _short_names().get(code, code)


def short_names_of_model(labels: Collection[str]) -> Mapping[str, str]:
    """Each label of a model and the short name of its language. Labels of two letters among them tell Wikipedia's
    names from ISO's."""
    of_wikipedia = "en" in labels
    return {
        label: _OF_WIKIPEDIA[label] if of_wikipedia and label in _OF_WIKIPEDIA else short_name(label)
        for label in labels
    }


@cache
def _short_names() -> Mapping[str, str]:
    pairs = _TWO_LETTERS.split()
    names = dict(zip(pairs[::2], pairs[1::2], strict=True))
    members = _MEMBERS.split()
    return names | {member: names.get(macro, macro) for member, macro in zip(members[::2], members[1::2], strict=True)}
