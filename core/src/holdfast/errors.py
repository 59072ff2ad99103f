"""Every error holdfast raises on purpose.

    HoldfastError
    ├── ConfigurationError            endpoints.yml, an option or an environment variable is wrong
    │   ├── UnknownBackendError       no backend of that name in that section
    │   └── DomainError               the domain file is wrong
    ├── PluginError                   an installed plugin is broken, or two claim one name
    ├── ConversationError
    │   ├── InvalidEventError         not an event, or not JSON          (also ValueError)
    │   ├── ConflictError             somebody else appended first
    │   ├── StoreBehindError          the store lost events the caller has seen
    │   └── ConversationNotFoundError                                    (also LookupError)
    ├── ModelError
    │   ├── ModelNotFoundError                                           (also FileNotFoundError)
    │   ├── ModelExistsError          other bytes stand under that name  (also FileExistsError)
    │   ├── VerificationError         the bytes are not the ones promised
    │   ├── UnsafeArchiveError        the archive must not be unpacked
    │   ├── DeploymentError           the application refused the model, or nothing to roll back to
    │   └── UnsupportedError          the persistor lacks the capability asked for
    └── BackendError                  the storage failed; the SDK's error is the cause
        └── UnavailableError          it cannot be reached now; trying again may help  (also ConnectionError)

A message names the culprit and the cure. It never contains the value of a configuration key.
"""

from __future__ import annotations


class HoldfastError(Exception):
    """Base of all errors that holdfast raises on purpose."""


class ConfigurationError(HoldfastError):
    """The configuration is wrong; nothing was opened."""


class UnknownBackendError(ConfigurationError):
    """A section names a backend that is not installed."""


class DomainError(ConfigurationError):
    """A domain file cannot be read or says something impossible."""


class PluginError(HoldfastError):
    """An installed plugin cannot be used; the message names distribution, version and entry point."""


class ConversationError(HoldfastError):
    """Base of what can go wrong with a conversation."""


class InvalidEventError(ConversationError, ValueError):
    """A value is not an event, or holds something JSON cannot express."""


class ConflictError(ConversationError):
    """Another writer appended first, so the batch was not written.

    Attributes:
        conversation: id of the conversation.
        expected: the version the batch was based on.
        actual: the version that stands in the store.
    """

    def __init__(self, conversation: str, expected: int, actual: int) -> None:
        super().__init__(
            f"conversation {conversation!r} is at version {actual}, not {expected}: another writer appended first. "
            "Nothing was written; load the conversation again, or save with on_conflict='rebase'."
        )
        self.conversation = conversation
        self.expected = expected
        self.actual = actual


class StoreBehindError(ConversationError):
    """The store holds fewer events than the caller has already seen acknowledged.

    A fail-over or a restored backup lost the end of the conversation, or the conversation was deleted.
    The attributes are those of `ConflictError`.
    """

    def __init__(self, conversation: str, expected: int, actual: int) -> None:
        super().__init__(
            f"conversation {conversation!r} is at version {actual}, behind the expected {expected}: the store lost "
            "events, or the conversation was deleted. Nothing was written; the tracker still holds its events."
        )
        self.conversation = conversation
        self.expected = expected
        self.actual = actual


class ConversationNotFoundError(ConversationError, LookupError):
    """No conversation has that id."""

    def __init__(self, conversation: str) -> None:
        super().__init__(f"no conversation {conversation!r} in the tracker store")
        self.conversation = conversation


class ModelError(HoldfastError):
    """Base of what can go wrong with a model."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """No model has that name or stands at that path."""


class ModelExistsError(ModelError, FileExistsError):
    """A model of that name but with other bytes is already stored."""


class VerificationError(ModelError):
    """An archive does not have the size or SHA-256 digest it should have."""


class UnsafeArchiveError(ModelError):
    """An archive is damaged, hostile or larger than the limits; nothing of it became visible."""


class DeploymentError(ModelError):
    """A deployment could not be switched; what was deployed before still is."""


class UnsupportedError(ModelError):
    """The persistor does not have the capability that was asked for."""


class BackendError(HoldfastError):
    """A storage failed; the error of its SDK is the `__cause__`."""


class UnavailableError(BackendError, ConnectionError):
    """A storage cannot be reached, is overloaded or did not answer in time; trying again may help."""
