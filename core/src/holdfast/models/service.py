"""`Models`: what an application uses, above any persistor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from holdfast.errors import ConfigurationError
from holdfast.models.archive import UnpackLimits
from holdfast.models.cache import Cache
from holdfast.models.catalog import Catalog
from holdfast.models.deployment import Deployment, Deployments, OnLoad
from holdfast.models.exchange import Exchange
from holdfast.models.manifest import Layout, Model, Verification
from holdfast.models.persistor import Persistor
from holdfast.models.sources import DEFAULT_DIRECTORY, LocalSources
from holdfast.models.storage import Storage
from holdfast.models.transfer import Progress
from holdfast.wrapping import Errors

__all__ = ["Model", "Models"]

if TYPE_CHECKING:
    from holdfast.models_config import ModelsConfig


class OpenedPersistor(Protocol):
    """What `Models.of` needs to know of an opened `persistor:` section."""

    @property
    def opened(self) -> Persistor: ...

    @property
    def name(self) -> str: ...

    @property
    def errors(self) -> Errors: ...

    @property
    def prefix(self) -> str: ...


class Models:
    """Push, pull, list, verify and deploy models; usable from many threads. It does no I/O before the first call.

    Args:
        persistor: where models are stored; without one only archives on disk can be deployed.
        prefix: folder in the storage that they are kept under.
        directory: local directory for archives and unpacked models.
        limits: how much one archive may unpack to.
        keep: how many archives and unpacked models stay in `directory`; what can be rolled back to always does.
        source: what `deploy` takes if it is not told: a `Path` on disk, or a name in the storage. Without it, the
            latest model of the storage or, if no persistor is configured, of the directory `models`.
        name: of the persistor's backend, for messages.
        errors: see `Backend.errors`.
    """

    def __init__(
        self,
        persistor: Persistor | None,
        *,
        prefix: str = "",
        directory: str | Path = ".holdfast",
        limits: UnpackLimits | None = None,
        keep: int = 3,
        source: str | Path | None = None,
        name: str = "given",
        errors: Errors = dict,
    ) -> None:
        self._limits = limits or UnpackLimits()
        self._cache = Cache(Path(directory), keep)
        self._storage = Storage(persistor, name, errors, self._cache.drafts)
        layout = Layout(prefix)
        self._catalog = Catalog(self._storage, layout, self._limits)
        self._exchange = Exchange(self._storage, layout, self._catalog, self._cache, self._limits)
        self._deployments = Deployments(self._cache, self._limits)
        self._local = LocalSources(self._limits)
        self._source = source
        self._server = False

    @classmethod
    def of(cls, opened: OpenedPersistor | None, config: ModelsConfig | None) -> Models:
        """Build what endpoints.yml describes: the opened section `persistor`, and the section `models`."""
        options: dict[str, Any] = {}
        if opened is not None:
            options |= {"name": opened.name, "errors": opened.errors, "prefix": opened.prefix}
        if config is not None:
            options |= {"directory": config.directory, "keep": config.keep, "source": config.path or config.name}
        models = cls(None if opened is None else opened.opened, **options)
        models._server = config is not None and config.url is not None
        return models

    def push(
        self, archive: str | Path, name: str | None = None, *, overwrite: bool = False, progress: Progress | None = None
    ) -> Model:
        """Store an archive under a name; readers see nothing of it before all of it is stored.

        A push of the very bytes that are stored already succeeds and moves nothing.

        Args:
            archive: path of a `.tar.gz`; it is read completely and must be safe to unpack.
            name: with or without `.tar.gz`, with `/` between folders; by default the file's.
            overwrite: replace a model of that name that has other bytes.
            progress: see `Progress`.

        Returns:
            the stored model.

        Raises:
            ModelNotFoundError: there is no such file.
            UnsafeArchiveError: it is no model, damaged or hostile.
            ModelExistsError: other bytes are stored under that name.
            ModelError: the name is none.
            BackendError: the storage failed.
        """
        path = Path(archive)
        return self._exchange.push(path, path.name if name is None else name, overwrite, progress)

    def pull(self, name: str, to: str | Path | None = None, *, progress: Progress | None = None) -> Path:
        """Copy a model's archive to this machine, verified against its manifest.

        Args:
            name: with or without `.tar.gz`.
            to: a file, or a directory that exists; it is replaced. By default the local cache, where an archive
                stays as long as it is deployed, can be rolled back to, or is among the newest.
            progress: see `Progress`.

        Returns:
            path of the archive; read-only if it is in the cache.

        Raises:
            ModelNotFoundError: there is no such model; the message shows what there is.
            VerificationError: the bytes are not those that were pushed; nothing appeared.
            BackendError: the storage failed.
        """
        if to is not None:
            return self._exchange.copy(name, Path(to), progress)
        path, _digest = self._exchange.cached(name, progress)
        self._deployments.prune()
        return path

    def list(self) -> Iterator[Model]:
        """Yield all stored models by name. Raises `UnsupportedError` if the persistor cannot list."""
        return self._catalog.list()

    def latest(self) -> Model:
        """Return the stored model that was trained last; archives that no manifest describes are read.

        Raises:
            ModelNotFoundError: none is stored.
            UnsupportedError: the persistor cannot list.
        """
        return self._catalog.latest()

    def get(self, name: str) -> Model:
        """Return what is known of one stored model.

        Raises:
            ModelNotFoundError: there is none; the message shows what there is.
            VerificationError: archive and manifest contradict each other.
        """
        return self._catalog.get(name)

    def verify(self, name: str, *, progress: Progress | None = None) -> Verification:
        """Read a stored archive again, and compare it with its manifest; without one, check the archive as a push does.

        Raises:
            ModelNotFoundError: there is no such model.
            VerificationError: the bytes are not those that were pushed.
            UnsafeArchiveError: no manifest describes the archive, and it is damaged or hostile.
        """
        return self._exchange.verify(name, progress)

    def delete(self, name: str) -> None:
        """Delete a stored model.

        Raises:
            ModelNotFoundError: there is none.
            UnsupportedError: the persistor cannot delete.
        """
        self._catalog.delete(name)

    def deploy(
        self,
        source: str | Path | None = None,
        *,
        on_load: OnLoad | None = None,
        progress: Progress | None = None,
    ) -> Deployment:
        """Verify a model, unpack it, let the application load it, and only then make it the current deployment.

        What is current already is neither fetched nor unpacked again, and `on_load` is called for it only if this
        object has not called it yet.

        Args:
            source: an archive on disk, or a directory whose latest archive is meant: a `Path`, or text that begins as
                a path does (`/`, `./`, `../`, `~`) or names something that exists. Else a name in the storage. By
                default what the constructor was told.
            on_load: see `OnLoad`.
            progress: see `Progress`; of the pull, if there is one.

        Returns:
            the current deployment.

        Raises:
            ModelNotFoundError: nothing is there; another model is never taken instead.
            UnsafeArchiveError: the archive is damaged or hostile.
            VerificationError: its bytes are not those that were pushed.
            DeploymentError: the application refused it, with its error as the cause; what was deployed stays so.
        """
        if source is not None:
            source = Path(source) if self._is_local(source) else source
        elif self._source is not None:
            source = self._source
        elif self._server:
            raise ConfigurationError(
                "models: deploying from a server's `url` is not supported yet: use `path` or `name`"
            )
        elif not self._storage.configured:
            source = DEFAULT_DIRECTORY
        if isinstance(source, Path):
            found = self._local.find(source)
            return self._deployments.deploy(found.name, found.digest, str(found.path), lambda: found.path, on_load)
        model = self.latest() if source is None else self.get(source)
        if model.sha256 is None:
            path, digest = self._exchange.cached(model.name, progress)
            return self._deployments.deploy(model.name, digest, model.key, lambda: path, on_load)
        return self._deployments.deploy(
            model.name, model.sha256, model.key, lambda: self._exchange.cached(model.name, progress)[0], on_load
        )

    def rollback(self, *, on_load: OnLoad | None = None) -> Deployment:
        """Make the previous deployment current again, from this machine alone.

        Args:
            on_load: see `OnLoad`.

        Raises:
            DeploymentError: there is no previous one, it is not on this machine any more, or the application refused
                it; what was deployed stays so.
        """
        return self._deployments.rollback(on_load)

    def current(self) -> Deployment | None:
        """Return what is deployed in the local directory, if anything is."""
        return self._deployments.current()

    def history(self) -> tuple[Deployment, ...]:
        """Return what was deployed before and can be rolled back to, newest first."""
        return self._deployments.history()

    def close(self) -> None:
        """Close the persistor; calling it again does nothing."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_local(self, source: str | Path) -> bool:
        if isinstance(source, Path) or not self._storage.configured:
            return True
        return source.startswith(("/", "./", "../", "~")) or Path(source).exists()
