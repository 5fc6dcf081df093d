"""Abbreviations whose point does not end a sentence, and words that begin one: tables by language.

An abbreviation has one of four classes, by what its point may be (`Point`). It is in lower case, without its last point
and without inner spaces (`z. B.` is `z.b`). If the language is unknown, the tables of all languages are used, without
the words marked with `!`: each is a common word of another language, or a single letter.
"""

import re
from enum import IntEnum
from functools import lru_cache


class Point(IntEnum):
    """What the point after a word may be."""

    NEVER = 1
    """Never an end: a title (`Dr. Smith`), a conjunction (`e.g. this`)."""
    NUMERIC = 2
    """Not an end before a number: `No. 5`, but `He said no. Then`."""
    BEFORE_NAMES = 3
    """An end before a word that begins sentences; not before other capitals: `the U.S. Army`."""
    BEFORE_LOWER = 4
    """An end before a capital: `etc. Then`, but `5 p.m. and`."""


_TABLES: dict[Point, dict[str, str]] = {
    Point.NEVER: {
        "en": "mr mrs ms messrs dr drs prof profs rev hon gov gen col capt lt sgt cmdr adm maj pres supt rep sen st"
        " mt e.g i.e eg cf viz vs approx ca incl dept asst assoc attn resp ext",
        "de": "dr prof hr fr frl dipl dipl.-ing univ.-prof mag !ing z.b d.h d.i u.a u.ä o.ä o.g s.o s.u i.a v.a a.d"
        " i.d.r z.t z.zt i.v i.h.v i.s.v m.a.w m.e a.a.o bzw bspw vgl sog ggf ggfs evtl ca inkl exkl zzgl abzgl"
        " !hl kath !ev tel !geb !gest verh hrsg gegr allg einschl entspr !gem lt !max !mind !d st str",
        "fr": "m !mm mme mlle mgr dr !me !pr st ste p.ex c.-à-d c.à.d cf !env tél apr !av n.d.l.r resp boul éd",
        "es": "sr sra srta sres sras !d dña dr dra prof profa lic arq gral cnel p.ej !ej aprox avda ud uds vd vds"
        " ntra sta sto !ma excmo excma ilmo tel tfno dpto",
        "pt": "sr sra srta sres dr dra prof profa eng arq exmo exma p.ex aprox !av tel dept !d",
        "it": "sig sigg sig.ra sig.na dott dott.ssa prof prof.ssa avv !ing !arch geom !rag !on mons p.es ad.es !es"
        " cfr spett gent egr",
        "nl": "dhr mevr mw !mej dr drs !ir !ing prof bijv d.w.z m.a.w o.a i.p.v t.a.v m.b.t i.v.m t.o.v z.g t.n.v"
        " n.a.v a.u.b evt incl excl vgl",
        "pl": "np tzn tj tzw prof mgr inż hab ks św ul m.in dr godz !ok !ob zob !im płk gen kpt",
        "cs": "např tj tzv mj prof ing mgr mudr judr phdr rndr !doc dr sv ul tel popř zejm",
        "sk": "napr tj tzv prof ing mgr dr sv ul tel resp",
        "sv": "t.ex bl.a dvs d.v.s s.k m.a.o f.d ca fr.o.m t.o.m p.g.a",
        "da": "f.eks bl.a dvs ca tlf mht pga jf",
        "nb": "f.eks bl.a dvs ca tlf pga jf",
        "fi": "esim ks !mm prof tri !ns !nk",
        "tr": "örn dr prof doç yrd bkz !alb !gen !sn mah cad sok",
        "ru": "т.е т.к т.н т.ч напр ул им просп пл гр гос акад проф доц см ср др-р св тел",
        "uk": "т.зв напр вул просп проф акад доц див тел св !ім",
        "bg": "т.е т.н напр ул бул проф доц вж д-р г-н г-жа",
        "sr": "тј нпр др проф ул",
        "el": "π.χ δηλ κα κος δρ βλ πρβλ τηλ λ.χ αγ !κ",
        "hu": "pl dr prof ún özv vö tel ifj !ill !id",
        "ro": "dl dna dr prof de.ex str tel cca",
        "hi": "डॉ सुश्री प्रो पं उदा",
        "bn": "ডা ড মো প্রো",
        "he": "פרופ גב",
        "vi": "ths pgs !ts !tp !gs !bs",
        "id": "bpk sdr drs yth !jl !ir",
    },
    Point.NUMERIC: {
        "en": "no nos p pp vol vols fig figs art ch chap sec sect eq par para ed nr jan feb mar apr jun jul aug sep"
        " sept oct nov dec bk rm",
        "de": "nr nrn s abb abs art bd bde kap tab abt jh ziff okt dez mär",
        "fr": "n p pp vol chap art fig réf janv févr juil déc",
        "es": "núm núms pág págs art cap vol fig n p pp",
        "pt": "núm n pág págs art cap vol fig p pp",
        "it": "n nn pag pagg art artt cap vol fig p pp",
        "nl": "nr nrs blz art hfdst afb par p",
        "pl": "nr s str rys art ust pkt poz tab t",
        "cs": "č str s obr čl odst tab kap",
        "sv": "nr s sid kap fig kl",
        "da": "nr s kap kl",
        "fi": "nro s luku klo",
        "tr": "no s sf",
        "ru": "стр с рис гл п пп ст разд табл т кн д кв",
        "uk": "стор с рис гл п ст т розд кв буд",
        "el": "σελ αρ κεφ αριθ παρ",
        "id": "no hal",
    },
    Point.BEFORE_NAMES: {
        "en": "ft u.s u.s.a u.k u.n d.c n.y l.a sr ph.d m.d b.a m.a b.sc m.sc esq",
        "es": "ee.uu",
        "fr": "é.-u",
        "de": "h.c",
    },
    Point.BEFORE_LOWER: {
        "en": "etc a.m p.m inc ltd corp !co bros jr b.c a.d b.c.e c.e al est !min misc lbs oz yd sq hrs mins",
        "de": "usw etc u.s.w u.v.m uvm n.chr v.chr std mio mrd tsd jhd dgl u.dgl",
        "fr": "etc p.m a.m j.-c av.j.-c apr.j.-c",
        "es": "etc p.m a.m s.a s.l a.c d.c hnos cía",
        "pt": "etc ltda s.a a.c d.c",
        "it": "ecc etc s.p.a s.r.l a.c d.c",
        "nl": "enz e.d b.v n.v",
        "pl": "itd itp tys mln mld zł n.e p.n.e sp.z.o.o",
        "cs": "atd apod s.r.o a.s tis mil mld kč n.l př.n.l",
        "sv": "osv o.s.v m.m m.fl e.kr f.kr",
        "da": "osv m.v m.m m.fl",
        "fi": "jne yms jkr ekr",
        "tr": "a.ş m.ö m.s !vb !vs !vd",
        "ru": "т.д т.п др пр гг вв руб коп тыс млн млрд н.э мин сек",
        "uk": "т.д т.п ін грн коп тис млн млрд н.е",
        "el": "κ.λπ κλπ κ.ά κ.α κ.ο.κ μ.χ π.μ μ.μ",
        "hu": "stb kft zrt nyrt i.sz i.e",
        "ro": "etc ș.a î.hr d.hr",
        "id": "dll dsb dst",
        "vi": "v.v",
    },
}

_STARTERS = {
    "en": "the he she it we they you i in this that these those there then but and so however when what why how if"
    " after before my our his her its their at on for as a an not no yes is are was do did can to with",
    "de": "der die das er sie es wir ich ihr ein eine in im am auf und aber dann doch wenn als danach heute hier was"
    " wer wo wie nun so da man dort damals jetzt alle sein ihre mein beide viele jeder",
    "fr": "le les il elle ils elles on nous vous je un une des ce cette mais et puis en dans alors c'est",
    "es": "el los las un una él ella ellos yo en pero y luego después es no se así entonces",
    "pt": "o os as um uma ele ela eles eu em mas depois então não",
    "it": "il lo gli un una lui lei io ma poi in questo questa così non",
    "nl": "de het een hij zij ik wij we maar en dan in dit dat er",
    "pl": "on ona oni to w na ale potem wtedy nie",
    "cs": "on ona oni to v na ale pak potom",
    "ru": "он она они мы вы я это в на но и а затем потом там здесь когда если как не",
    "uk": "він вона вони ми ви я це в на але і потім там тут",
    "el": "ο η το οι τα αυτός αυτή και αλλά μετά",
    "tr": "bu o ben biz ama sonra ve şimdi",
    "sv": "han hon den det de vi jag men och sedan i",
    "da": "han hun den det de vi jeg men og så i",
    "fi": "hän se he me minä mutta ja sitten",
}

_ELISION = re.compile(r"(?:[ldjnmtsc]|qu)['’](?!est\Z)")
_LETTERS = re.compile(r"[^\W\d_](?:[.-]{1,2}[^\W\d_])+\Z")
"""Letters with points between them: `U.S.A`, `J.-P`."""
_ORDINAL_LANGUAGES = "de da nb no nn fi cs sk sl hr sr bs hu et lv is tr pl fo lb"
"""Where a point after a number makes it an ordinal: `am 3. Oktober`."""

_ORDINAL_FOLLOWERS = (
    "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert jahrtausend"
    " kapitel klasse stock platz etage auflage semester tag woche lebensjahr weltkrieg mal januari jul jun ocak şubat"
    " mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık yüzyıl"
)
"""Capitalised words after an ordinal, for text of an unknown language."""

_CACHED_LANGUAGES = 64
"""Languages whose tables are cached; those without one share that of `""`."""


@lru_cache(_CACHED_LANGUAGES)
def _table(language: str) -> dict[str, Point]:
    """Return the abbreviations of a language; of all languages if it has no table."""
    if language and language not in _TABLES[Point.NEVER]:
        return _table("")
    table = {}
    # The surer class wins where languages differ: a missing cut costs a pause, a wrong one splits a phrase.
    for point in sorted(_TABLES, reverse=True):
        for name, words in _TABLES[point].items():
            for word in words.split():
                if name == language or not (language or word.startswith("!")):
                    table[word.lstrip("!")] = point
    return table


@lru_cache(_CACHED_LANGUAGES)
def _pair_starts(language: str) -> frozenset[str]:
    if language and language not in _TABLES[Point.NEVER]:
        return _pair_starts("")
    return frozenset(key.split(".", 1)[0] for key in _table(language) if "." in key)


@lru_cache(_CACHED_LANGUAGES)
def _starters(language: str) -> frozenset[str]:
    if language and language not in _STARTERS:
        return _starters("")
    tables = [_STARTERS[language]] if language else _STARTERS.values()
    return frozenset(" ".join(tables).split())


def begins_pair(word: str, language: str) -> bool:
    """Return whether the word may be the first part of an abbreviation: the `z` of `z. B.`"""
    return word.lower() in _pair_starts(language)


def point_after(word: str, language: str) -> Point | None:
    """Return what the point after `word` may be; None: it ends a sentence, as far as the tables know.

    `language` is a code of two letters, or empty; a language without a table uses the tables of all.
    """
    folded = word.lower()
    elided = _ELISION.match(folded)
    point = _table(language).get(folded[elided.end() :] if elided else folded)
    if point is None and folded.endswith("str") and language in ("", "de"):
        return Point.NUMERIC  # Hauptstr. 5
    if point is None and len(folded) == 1 and folded.isalpha():
        # An initial, or a letter that abbreviates something that no table has.
        return Point.BEFORE_LOWER if word.islower() else Point.BEFORE_NAMES
    if point is None and "." in folded and _LETTERS.match(folded):
        return Point.BEFORE_LOWER if word[-1].islower() else Point.BEFORE_NAMES
    return point


def begins_sentence(word: str, language: str) -> bool:
    """Return whether this capitalised word more likely begins a sentence than is a name."""
    return word.lower() in _starters(language)


def may_be_ordinal(language: str) -> bool:
    return not language or language in _ORDINAL_LANGUAGES.split()


def follows_ordinal(word: str, language: str) -> bool:
    """Return whether a number and its point before this capitalised word are an ordinal."""
    if language in _ORDINAL_LANGUAGES.split():
        return not begins_sentence(word, language)
    return not language and word.lower() in _ORDINAL_FOLLOWERS.split()
