"""holdfast keeps what an assistant must not lose: its models and its conversations.

The whole public API is on this screen. Each name is imported from its module when it is first used, so that
`import holdfast` costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.backend import Backend as Backend, BackendConfig as BackendConfig
    from holdfast.connection import (
        AsyncHoldfast as AsyncHoldfast,
        Connection as Connection,
        Holdfast as Holdfast,
        connect as connect,
    )
    from holdfast.conversations.asynchronous import AsyncConversations as AsyncConversations
    from holdfast.conversations.domain import Domain as Domain, SessionConfig as SessionConfig, Slot as Slot
    from holdfast.conversations.event import Event as Event
    from holdfast.conversations.events import (
        ActionExecuted as ActionExecuted,
        ActionExecutionRejected as ActionExecutionRejected,
        ActionReverted as ActionReverted,
        ActiveLoop as ActiveLoop,
        AgentUttered as AgentUttered,
        AllSlotsReset as AllSlotsReset,
        BotUttered as BotUttered,
        ConversationPaused as ConversationPaused,
        ConversationResumed as ConversationResumed,
        DefinePrevUserUtteredFeaturization as DefinePrevUserUtteredFeaturization,
        EntitiesAdded as EntitiesAdded,
        FollowupAction as FollowupAction,
        LegacyForm as LegacyForm,
        LegacyFormValidation as LegacyFormValidation,
        LoopInterrupted as LoopInterrupted,
        ReminderCancelled as ReminderCancelled,
        ReminderScheduled as ReminderScheduled,
        Restarted as Restarted,
        SessionStarted as SessionStarted,
        SlotSet as SlotSet,
        StoryExported as StoryExported,
        UserUtteranceReverted as UserUtteranceReverted,
        UserUttered as UserUttered,
    )
    from holdfast.conversations.rule import SessionRule as SessionRule
    from holdfast.conversations.service import Conversations as Conversations
    from holdfast.conversations.store import (
        ANY as ANY,
        NEW as NEW,
        Appended as Appended,
        AsyncTrackerStore as AsyncTrackerStore,
        Head as Head,
        Page as Page,
        TrackerStore as TrackerStore,
    )
    from holdfast.conversations.tracker import Tracker as Tracker, Verbosity as Verbosity
    from holdfast.errors import (
        BackendError as BackendError,
        ConfigurationError as ConfigurationError,
        ConflictError as ConflictError,
        ConversationError as ConversationError,
        ConversationNotFoundError as ConversationNotFoundError,
        DeploymentError as DeploymentError,
        DomainError as DomainError,
        HoldfastError as HoldfastError,
        InvalidEventError as InvalidEventError,
        ModelError as ModelError,
        ModelExistsError as ModelExistsError,
        ModelNotFoundError as ModelNotFoundError,
        PluginError as PluginError,
        StoreBehindError as StoreBehindError,
        UnavailableError as UnavailableError,
        UnknownBackendError as UnknownBackendError,
        UnsafeArchiveError as UnsafeArchiveError,
        UnsupportedError as UnsupportedError,
        VerificationError as VerificationError,
    )
    from holdfast.hooks import hookimpl as hookimpl
    from holdfast.models.asynchronous import AsyncModels as AsyncModels
    from holdfast.models.deployment import Deployment as Deployment
    from holdfast.models.persistor import (
        DeletesObjects as DeletesObjects,
        ListsObjects as ListsObjects,
        ObjectStat as ObjectStat,
        PartUpload as PartUpload,
        Persistor as Persistor,
        ReadsRanges as ReadsRanges,
        WritesParts as WritesParts,
    )
    from holdfast.models.service import Model as Model, Models as Models

_MODULES = {
    "holdfast.backend": ("Backend", "BackendConfig"),
    "holdfast.connection": ("AsyncHoldfast", "Connection", "Holdfast", "connect"),
    "holdfast.conversations.asynchronous": ("AsyncConversations",),
    "holdfast.conversations.domain": ("Domain", "SessionConfig", "Slot"),
    "holdfast.conversations.event": ("Event",),
    "holdfast.conversations.events": (
        "ActionExecuted",
        "ActionExecutionRejected",
        "ActionReverted",
        "ActiveLoop",
        "AgentUttered",
        "AllSlotsReset",
        "BotUttered",
        "ConversationPaused",
        "ConversationResumed",
        "DefinePrevUserUtteredFeaturization",
        "EntitiesAdded",
        "FollowupAction",
        "LegacyForm",
        "LegacyFormValidation",
        "LoopInterrupted",
        "ReminderCancelled",
        "ReminderScheduled",
        "Restarted",
        "SessionStarted",
        "SlotSet",
        "StoryExported",
        "UserUtteranceReverted",
        "UserUttered",
    ),
    "holdfast.conversations.rule": ("SessionRule",),
    "holdfast.conversations.service": ("Conversations",),
    "holdfast.conversations.store": ("ANY", "NEW", "Appended", "AsyncTrackerStore", "Head", "Page", "TrackerStore"),
    "holdfast.conversations.tracker": ("Tracker", "Verbosity"),
    "holdfast.errors": (
        "BackendError",
        "ConfigurationError",
        "ConflictError",
        "ConversationError",
        "ConversationNotFoundError",
        "DeploymentError",
        "DomainError",
        "HoldfastError",
        "InvalidEventError",
        "ModelError",
        "ModelExistsError",
        "ModelNotFoundError",
        "PluginError",
        "StoreBehindError",
        "UnavailableError",
        "UnknownBackendError",
        "UnsafeArchiveError",
        "UnsupportedError",
        "VerificationError",
    ),
    "holdfast.hooks": ("hookimpl",),
    "holdfast.models.asynchronous": ("AsyncModels",),
    "holdfast.models.deployment": ("Deployment",),
    "holdfast.models.persistor": (
        "DeletesObjects",
        "ListsObjects",
        "ObjectStat",
        "PartUpload",
        "Persistor",
        "ReadsRanges",
        "WritesParts",
    ),
    "holdfast.models.service": ("Model", "Models"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605  # the names stand once, above
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
