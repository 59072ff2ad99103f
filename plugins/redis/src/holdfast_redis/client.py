"""The connections to the servers of one config: made on first use, shared by threads, made anew after a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import AskError, NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from holdfast.errors import BackendError, UnavailableError
from holdfast_redis.config import RedisConfig
from holdfast_redis.failure import shown, wrapped
from holdfast_redis.scripts import Script

T = TypeVar("T")
# redis-py annotates its clients differently from version to version, so they are not typed here.
AnyRedis = Any
Value = bytes | str | int | float


class Client:
    """What the store says to the servers.

    Args:
        config: where they are.
    """

    def __init__(self, config: RedisConfig) -> None:
        self._config = config
        self._where = _where(config)
        passwords = (config.password, config.sentinel_password)
        self._secrets = tuple(secret.get_secret_value() for secret in passwords if secret and secret.get_secret_value())
        self._forget()
        _opened.add(self)

    def _forget(self) -> None:
        self._redis: AnyRedis = None
        self._opening = threading.Lock()
        # A semaphore, but implemented in C.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._config.pool_size):
            self._free.put(None)

    def speak(self, exchange: Callable[[AnyRedis], T]) -> T:
        """Do one exchange with the servers; what goes wrong in it becomes an error of holdfast.

        Raises:
            UnavailableError: the server cannot be reached, is busy or does not answer in time.
            BackendError: anything else it refuses.
        """
        free = self._free
        try:
            free.get(timeout=self._config.socket_timeout)
        except Empty:
            raise UnavailableError(
                f"tracker store 'redis': {self._where}: all {self._config.pool_size} connections stayed busy; "
                "raise 'pool_size'"
            ) from None
        try:
            return exchange(self._connected())
        except (RedisError, RedisClusterException, OSError) as error:
            raise wrapped(error, self._where, self._secrets, tls=self._config.use_ssl) from shown(error, self._secrets)
        finally:
            free.put(None)

    def run(self, script: Script, keys: Sequence[bytes | str], values: Sequence[Value]) -> Any:
        """Run a script, in one round trip if the server knows it."""

        def exchange(redis: AnyRedis) -> Any:
            try:
                return redis.execute_command("EVALSHA", script.sha, len(keys), *keys, *values)
            except NoScriptError:
                return redis.execute_command("EVAL", script.text, len(keys), *keys, *values)

        return self.speak(exchange)

    def run_durably(self, script: Script, keys: Sequence[bytes | str], values: Sequence[Value]) -> Any:
        """Run a script that writes, and wait for the durability the config asks for, in the same round trip.

        Raises:
            UnavailableError: also when the write was done, but not confirmed in time.
        """
        if self._config.durability == "none":
            return self.run(script, keys, values)
        return self.speak(lambda redis: self._run_confirmed(redis, script, keys, values))

    def _run_confirmed(
        self, redis: AnyRedis, script: Script, keys: Sequence[bytes | str], values: Sequence[Value]
    ) -> Any:
        # What is waited for is what this very connection wrote, so in a cluster it takes one to the right node.
        node = redis if isinstance(redis, Redis) else _node(redis, keys[0])
        answer, confirmed = self._run_and_wait(node, script.sha, script, keys, values)
        if isinstance(answer, NoScriptError):
            answer, confirmed = self._run_and_wait(node, None, script, keys, values)
        if isinstance(answer, AskError) and isinstance(redis, RedisCluster):
            redis.nodes_manager.initialize()
            raise UnavailableError(f"tracker store 'redis': {self._where}: the keys are moving to another node")
        if isinstance(answer, Exception):
            raise answer
        self._check(confirmed)
        return answer

    def _run_and_wait(
        self, node: AnyRedis, sha: str | None, script: Script, keys: Sequence[bytes | str], values: Sequence[Value]
    ) -> tuple[Any, Any]:
        milliseconds = int(self._config.durability_timeout * 1000)
        with node.pipeline(transaction=False) as pipeline:
            name, text = ("EVALSHA", sha) if sha else ("EVAL", script.text)
            pipeline.execute_command(name, text, len(keys), *keys, *values)
            if self._config.durability == "fsync":
                pipeline.execute_command("WAITAOF", 1, 0, milliseconds)
            else:
                pipeline.execute_command("WAIT", self._config.replicas, milliseconds)
            answer, confirmed = pipeline.execute(raise_on_error=False)
            return answer, confirmed

    def _check(self, confirmed: Any) -> None:
        if isinstance(confirmed, ResponseError) and self._config.durability == "fsync":
            raise BackendError(
                f"tracker store 'redis': {self._where}: 'durability: fsync' needs Redis 7.2 or newer with 'appendonly "
                "yes'; on an older one set 'appendfsync always' in the server and 'durability: none' here"
            ) from confirmed
        if isinstance(confirmed, Exception):
            raise confirmed
        count, wanted = (confirmed[0], 1) if self._config.durability == "fsync" else (confirmed, self._config.replicas)
        if count < wanted:
            by = "its disk" if self._config.durability == "fsync" else f"{wanted} replica(s), but by {count}"
            raise UnavailableError(
                f"tracker store 'redis': {self._where}: the write was not confirmed by {by} within "
                f"{self._config.durability_timeout:g} seconds"
            )

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        with self._opening:
            redis, self._redis = self._redis, None
        if redis is not None:
            redis.close()

    def _connected(self) -> AnyRedis:
        redis = self._redis
        if redis is None:
            with self._opening:
                if self._redis is None:
                    self._redis = _connect(self._config)
                redis = self._redis
        return redis


def _node(cluster: AnyRedis, key: bytes | str) -> AnyRedis:
    node = cluster.get_node_from_key(key)
    if node is None:
        raise RedisClusterException("no node serves the key's slot")
    return cluster.get_redis_connection(node)


def _connect(config: RedisConfig) -> AnyRedis:
    # The core tries again, and tells the caller in the end; RESP 2 is what every server and version speaks.
    never = Retry(NoBackoff(), 0)
    common: dict[str, Any] = {
        "socket_timeout": config.socket_timeout,
        "socket_connect_timeout": config.socket_connect_timeout,
        "socket_keepalive": True,
        "health_check_interval": config.health_check_interval,
        "protocol": 2,
    }
    if config.use_ssl:
        common |= {
            "ssl": True,
            "ssl_keyfile": config.ssl_keyfile,
            "ssl_certfile": config.ssl_certfile,
            "ssl_ca_certs": config.ssl_ca_certs,
            "ssl_check_hostname": config.ssl_check_hostname,
        }
    login: dict[str, Any] = {"username": config.username, "password": _reveal(config.password)}
    if config.deployment_mode == "cluster":
        node_type: Any = ClusterNode
        nodes = [node_type(host, port) for host, port in config.addresses()]
        return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 1), **common, **login)
    if config.deployment_mode == "sentinel":
        sentinel_login = {"username": config.sentinel_username, "password": _reveal(config.sentinel_password)}
        sentinel_type: Any = Sentinel
        sentinel = sentinel_type(config.addresses(), sentinel_kwargs={**common, **sentinel_login, "retry": never})
        master: AnyRedis = sentinel.master_for(config.sentinel_service, db=config.db, retry=never, **common, **login)
        return master
    if config.unix_socket is not None:
        common["unix_socket_path"] = config.unix_socket
    return Redis(host=config.url, port=config.port, db=config.db, retry=never, **common, **login)


def _reveal(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _where(config: RedisConfig) -> str:
    if config.unix_socket is not None:
        return config.unix_socket
    addresses = ", ".join(f"{host}:{port}" for host, port in config.addresses())
    if config.deployment_mode == "sentinel":
        return f"master {config.sentinel_service!r} of the Sentinels {addresses}"
    return f"cluster {addresses}" if config.deployment_mode == "cluster" else addresses


_opened: weakref.WeakSet[Client] = weakref.WeakSet()


def _forget_connections() -> None:
    """In a forked child: the parent goes on using its connections, the child makes its own."""
    for client in _opened:
        client._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
