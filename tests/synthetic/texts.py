"""Words for made-up people. Everybody and everything here is fictitious."""

from __future__ import annotations

from random import Random


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(","))


GIVEN_NAMES = _listed(
    "Ada, Bo, Caro, Dino, Edda, Faris, Gwen, Hanno, Ilka, Jonas, Kaia, Lior, Mona, Nils, Odile, Pavel, Quinn, Rosa, "
    "Sami, Tilda, Ugo, Vera, Wim, Xenia, Yara, Zeno"
)
FAMILY_NAMES = _listed(
    "Alder, Brook, Castell, Dorn, Elster, Fenn, Garrow, Holt, Ivers, Janda, Kestrel, Lund, Marsh, Norden, Okafor, "
    "Pell, Quist, Reis, Sorel, Tarn, Umber, Vale, Wren, Yarrow, Zander"
)
EMPLOYERS = _listed(
    "Northwind Studio, Blue Harbour Media, Lantern & Co, Greenfield Works, Copperleaf Press, Tidewater Lab, "
    "Halcyon Design, Meridian Transit, Oak Street Clinic, Paper Boat Films"
)
FIELDS = ("Marketing", "Publishing", "Urban planning", "Data journalism", "Public health", "Film sound", "Logistics")
ROLES = ("Editor", "Account lead", "Planner", "Producer", "Analyst", "Nurse educator", "Copywriter", "Archivist")
ZONES = (("Europe/Lisbon", "PT"), ("America/New_York", "US"), ("Asia/Kolkata", "IN"), ("Australia/Sydney", "AU"))
QUESTIONS = (
    ("path", "Which turns led you to what you do today?"),
    ("typical_day", "What did yesterday look like, from morning to evening?"),
    ("likes_and_changes", "What do you enjoy most, and what would you change?"),
    ("breaking_in", "How did you take your first steps in this field?"),
    ("kinds_of_jobs", "Which kinds of work are there that outsiders never hear of?"),
    ("challenges", "What keeps people in your field awake at night?"),
    ("associations", "Which associations are worth joining early on?"),
    ("what_to_read_and_follow", "What do you read to keep up?"),
    ("next_ten_years", "How will this work be different in ten years?"),
    ("skills_education_experience", "Which skills surprised you by being needed every day?"),
    ("whom_else", "Who else would you talk to in my place?"),
    ("career_path", "What do people usually do after a few years in your place?"),
)
_SENTENCES = (
    "The first two years were mostly listening, and that was the point.",
    "Small teams decide quickly, large ones write everything down.",
    "A portfolio of three finished pieces says more than a list of courses.",
    "Most of the day goes into talking to people who see it differently.",
    "She keeps a notebook of every conversation and rereads it in January.",
    "Evening classes were enough to begin with; the rest came by doing.",
    "The busy season is autumn, so spring is a better time to meet.",
    "Budgets are set in June, and everything else follows from that.",
    "He would start with the trade paper and one local association.",
    "What counts is whether you finish what you began.",
    "Half of the work is explaining why something should not be done.",
    "Nobody here planned to end up in this field, and most have stayed.",
    "Learn to read a balance sheet, even if you never write one.",
    "A good question asked early saves a month later on.",
    "The tools change every few years, the craft does not.",
)


def sentences(rng: Random, least: int, most: int) -> str:
    return " ".join(rng.choices(_SENTENCES, k=rng.randint(least, most)))


MESSAGES = tuple(sentences(Random(number), 7, 12) for number in range(60))
"""Requests and follow-ups as they were sent: a limited number, since each new one has to be judged."""


def full_name(rng: Random) -> str:
    return f"{rng.choice(GIVEN_NAMES)} {rng.choice(FAMILY_NAMES)}"
