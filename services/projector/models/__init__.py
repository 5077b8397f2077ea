"""Every read model there is. Readers name them as here; adding one is adding it to `MODELS`.

A release that drops or renames one drops the rows of the old name by a migration (its generation becomes `scratch`,
which the next one at work removes, and the checkpoint's turn ends, so that the release before notices): no projector
folds while rows are live of which it knows nothing.
"""

from __future__ import annotations

from typing import Any

from services.projector.folding.read_model import ReadModel
from services.projector.models.agenda import Agenda
from services.projector.models.contact import Contacts
from services.projector.models.contact_load import ContactLoad
from services.projector.models.leads import Leads
from services.projector.models.network import Network
from services.projector.models.notebook import Notebook
from services.projector.models.notification import Notifications
from services.projector.models.participant import Participants
from services.projector.models.pipeline import Pipeline
from services.projector.models.preparation import Preparation
from services.projector.models.programme import Programmes
from services.projector.models.relationship import Relationships
from services.projector.models.seeker import Seekers
from services.projector.models.timeline import Timeline

SEEKERS = Seekers()
CONTACTS = Contacts()
PIPELINE = Pipeline()
AGENDA = Agenda()
PREPARATION = Preparation()
RELATIONSHIPS = Relationships()
TIMELINE = Timeline()
LEADS = Leads()
NETWORK = Network()
NOTEBOOK = Notebook()
PROGRAMMES = Programmes()
PARTICIPANTS = Participants()
CONTACT_LOAD = ContactLoad()
NOTIFICATIONS = Notifications()

MODELS: tuple[ReadModel[Any], ...] = (
    SEEKERS,
    CONTACTS,
    PIPELINE,
    AGENDA,
    PREPARATION,
    RELATIONSHIPS,
    TIMELINE,
    LEADS,
    NETWORK,
    NOTEBOOK,
    PROGRAMMES,
    PARTICIPANTS,
    CONTACT_LOAD,
    NOTIFICATIONS,
)
