"""Is this English? A cautious test: in doubt, a text is taken for English and judged."""

import unicodedata

from shared.domain.conversation.reading import spelt_words, word_set

_MOSTLY = 0.5
_LONG_ENOUGH_TO_TELL = 6

_ENGLISH = word_set(
    """a about after all also am an and any anyone are as ask asking at be been before being best biggest but by can
    career change company could day did discuss do does doing each else ever every everyone field find first for from
    get give go good had has have he help her here hers him his how i if in industry into is it its job just know
    learn like long make many may me might mind more most much must my need never new next no not now of off on one
    only or other our out over own people please role same she should skills so some someone start such take talk tell
    than thank thanks that the their them then there these they thing think this those through time to too typical up
    us use very want was way we well were what when where whether which while who whom whose why will with without
    work would year years you your yours salary pay hire hiring resume opening openings vacancies advice tips any
    important challenges favourite favorite read books usually recommend quick question"""
)

_FOREIGN = word_set(
    # German, Dutch, Swedish, Danish, Norwegian
    """der das den dem des ein eine einen einem einer ist sind und oder nicht ich sie wir ihr ihre ihnen ihren ihrem
    mein meine mich mir wie wann warum welche welcher wieviel viel verdienen koennen konnen können können würden
    haben für fur auf mit von zum zur bei nach beruf het een niet wat hoe wie zijn voor aan kunt kunnen uw jij jullie
    verdient och att det som inte är jag du på av till hur vad ikke jeg og hvor hvad hva er på en ett
    """
) | word_set(
    # French, Spanish, Portuguese, Italian, Catalan, Romanian
    """le la les un une du est et ou je vous nous votre vos avez êtes etes quel quelle quels combien comment pourquoi
    qui que quoi avec dans pas pour emploi travail gagnez pouvez el los las una es y yo usted ustedes su sus tu cuál
    cual cuanto cuánto cómo como por qué para con puede podría trabajo gana empleo del se lo mi me o os uma é eu você
    voce seu sua qual quanto como porque trabalho ganha pode il gli che di della è io lei voi suo sua quanto come
    perché lavoro guadagna può puo non si per care este şi si nu pentru cum cât ce
    """
) | word_set(
    # Polish, Czech, Turkish, Indonesian, Finnish, Hungarian, Swahili, Vietnamese, Tagalog
    """jest są nie jak ile czy pan pani się sie na praca pracy zarabia je jsou jak kolik vás vas práce bir ve bu ne
    nasıl nasil mı mi mu kadar iş musunuz yang dan di apa bagaimana berapa anda saya untuk dengan ini on ja mitä mita
    miten kuinka paljon sinä te oletko hogyan mennyi nem és egy az ön ni ya kwa je gani bạn là có không của ang ng mga
    ano paano magkano po ko ba sa"""
)  # fmt: skip

FOREIGN_WORDS = _FOREIGN - _ENGLISH
"""Function words of other languages written in Latin letters that mean nothing in English."""


def why_not_judged(text: str) -> str | None:
    """Return why this text can't be judged: `no_words` or `not_english`; None when it can.

    Most letters in another script, or more function words of other languages than of English, make it not English.
    A short text without any sign is taken for English.
    """
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return "no_words"
    latin = sum(c.isascii() or unicodedata.name(c, "").startswith(("LATIN", "FULLWIDTH LATIN")) for c in letters)
    if latin < _MOSTLY * len(letters):
        return "not_english"
    words = spelt_words(text)
    english = sum(word in _ENGLISH for word in words)
    foreign = sum(word in _FOREIGN_PLAIN for word in words)
    if foreign > english or (not english and len(words) >= _LONG_ENOUGH_TO_TELL):
        return "not_english"
    return None


def _plain(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


_FOREIGN_PLAIN = frozenset(_plain(word) for word in FOREIGN_WORDS) - _ENGLISH
