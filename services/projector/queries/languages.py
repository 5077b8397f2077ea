"""In which language a seeker's words are searched."""

from __future__ import annotations

SEARCHED: dict[str, str] = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""Language of a BCP 47 tag → PostgreSQL's text search configuration (those that version 15 and later bring along)."""


def search_language(locale: str | None) -> str:
    """The configuration for a locale such as `pt-BR`; `simple`, which knows no endings, for one not covered."""
    return SEARCHED.get((locale or "").partition("-")[0].lower(), "simple")
