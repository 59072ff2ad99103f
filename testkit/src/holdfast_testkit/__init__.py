"""The contracts of holdfast as test classes, for the authors of backends.

Inherit a class, override its fixture `section` with the section of endpoints.yml that opens the backend, and run
pytest.
"""

from holdfast_testkit.conversations import ConversationsTests
from holdfast_testkit.faults import FaultyStore
from holdfast_testkit.persistor import PersistorTests
from holdfast_testkit.tracker_store import TrackerStoreTests

__all__ = ["ConversationsTests", "FaultyStore", "PersistorTests", "TrackerStoreTests"]
