"""A process of its own that resumes a conversation, adds a turn and saves it.

python resume.py CONVERSATION TEXT
"""

from __future__ import annotations

import sys

import holdfast
from holdfast import ActionExecuted, BotUttered, SlotSet, UserUttered


def main(conversation: str, text: str) -> None:
    """Add a turn that begins with the user saying `text`."""
    with holdfast.connect("endpoints.yml", domain="domain.yml") as hf:
        tracker = hf.conversations.retrieve(conversation)
        if tracker is None:
            raise SystemExit(f"no conversation {conversation!r}; import it first")
        print(f"resumed {conversation} at version {tracker.version}; cuisine is {tracker.get_slot('cuisine')!r}")
        tracker.add(
            UserUttered(text, intent={"name": "inform"}),
            SlotSet("cuisine", "greek"),
            ActionExecuted("utter_happy"),
            BotUttered("Great, carry on!"),
            ActionExecuted("action_listen"),
        )
        hf.conversations.save(tracker)
        print(f"saved 5 events; now at version {tracker.version}; cuisine is {tracker.get_slot('cuisine')!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
