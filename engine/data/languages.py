"""Which language a text is in, as far as its script and its commonest words tell."""

import re
import unicodedata
from collections import Counter

from rung.engine.data.row_text import plain_words

UNKNOWN = "unknown"
# Words that are frequent in one of these languages and rare in the others.
_COMMON_WORDS = {
    "English": "the and of to is that it for with as was are this be have from not you which by or your",
    "German": "der die das und ist nicht ein eine zu mit auf für sich auch dem den von wird sind oder wie",
    "French": "le les des et est une pour dans que qui sur pas avec sont ce cette au du nous vous mais",
    "Spanish": "el los las una es por con para que del como más pero sus está este esta lo y muy",
    "Italian": "il gli che di è una per con non sono della del come più anche questo nel alla ma",
    "Portuguese": "o os uma não com para que do da em mais como mas são também pelo seu sua você ao",
    "Dutch": "het een van en is dat niet op te met voor zijn aan ook er maar deze wordt naar",
    "Polish": "jest nie na się że do jak to ale przez dla są czy tylko oraz może być",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _name, _words in _COMMON_WORDS.items():
    for _word in _words.split():
        _LANGUAGES_OF.setdefault(_word, []).append(_name)
_SCRIPTS = {
    "CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "CYRILLIC": "Cyrillic",
    "ARABIC": "Arabic", "HEBREW": "Hebrew", "DEVANAGARI": "Devanagari", "GREEK": "Greek", "THAI": "Thai",
}  # fmt: skip
_LETTER = re.compile(r"[^\W\d_]")
_LOOKED_AT = 2000
_FEWEST_WORDS, _FEWEST_HITS = 8, 3


def language_of(text: str) -> str:
    """The language, or the script where that is all that can be told; `unknown` for short, mixed or other text.

    A guess for telling odd rows from the rest, not for naming the language of one.
    """
    text = text[:_LOOKED_AT]
    scripts = Counter(_script(letter) for letter in _LETTER.findall(text))
    if not scripts:
        return UNKNOWN
    # A little kana makes a text Japanese, however many of its signs are Chinese.
    if scripts["Japanese"] * 5 > scripts["Chinese"] and scripts["Japanese"]:
        scripts["Japanese"] += scripts.pop("Chinese", 0)
    script, count = scripts.most_common(1)[0]
    if script != "Latin":
        return script if count * 2 > scripts.total() else UNKNOWN
    return _latin_language(plain_words(text))


def _latin_language(words: list[str]) -> str:
    if len(words) < _FEWEST_WORDS:
        return UNKNOWN
    hits = Counter(language for word in words for language in _LANGUAGES_OF.get(word, ()))
    ranked = hits.most_common(2)
    if not ranked or ranked[0][1] < _FEWEST_HITS or ranked[0][1] * 12 < len(words):
        return UNKNOWN
    second = ranked[1][1] if len(ranked) > 1 else 0
    return ranked[0][0] if ranked[0][1] >= 2 * second else UNKNOWN


def _script(letter: str) -> str:
    if letter.isascii():
        return "Latin"
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "Latin")
