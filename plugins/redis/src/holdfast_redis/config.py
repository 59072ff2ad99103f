"""The keys of `tracker_store: {type: redis}`; the names are Rasa's where Rasa has one."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from holdfast import BackendConfig

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]

_TLS_ONLY = frozenset(("ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_check_hostname"))


class RedisConfig(BackendConfig):
    """Where the servers are, how to talk to them, and how long conversations live."""

    url: str = Field("localhost", description="Host of the server, a name or an address.")
    port: Port = Field(6379, description="Port of the server.")
    unix_socket: str | None = Field(None, description="Path of the server's Unix socket, instead of `url` and `port`.")
    db: Annotated[int, Field(ge=0)] = Field(0, description="Number of the database; a cluster has only 0.")
    username: str | None = Field(None, description="ACL user to log in as.")
    password: SecretStr | None = Field(None, description="Password to log in with.")
    record_exp: Seconds | None = Field(
        None,
        description="Seconds after its last append at which a conversation expires; without it, conversations stay.",
    )
    key_prefix: str | None = Field(
        None, description="Letters and digits that begin every key, to keep several assistants apart in one database."
    )
    use_ssl: bool = Field(False, description="Whether to speak TLS.")
    ssl_keyfile: str | None = Field(None, description="Path of the client certificate's private key.")
    ssl_certfile: str | None = Field(None, description="Path of the client certificate.")
    ssl_ca_certs: str | None = Field(
        None, description="Path of the certificates to trust, instead of those the system trusts."
    )
    ssl_check_hostname: bool = Field(True, description="Whether the server's certificate must bear the name in `url`.")
    deployment_mode: Literal["standard", "cluster", "sentinel"] = Field(
        "standard", description="One server, a Redis Cluster, or a master that Sentinels name."
    )
    endpoints: tuple[str, ...] = Field(
        (), description="`host:port` of the Sentinels, or of nodes to learn the cluster from."
    )
    sentinel_service: str = Field("mymaster", description="The name under which the Sentinels know the master.")
    sentinel_username: str | None = Field(None, description="User to log in to the Sentinels as.")
    sentinel_password: SecretStr | None = Field(None, description="Password to log in to the Sentinels with.")
    socket_timeout: Seconds = Field(10.0, description="Seconds to wait for an answer.")
    socket_connect_timeout: Seconds = Field(5.0, description="Seconds to wait for a connection.")
    pool_size: Annotated[int, Field(ge=1)] = Field(
        32, description="Operations that may be under way at once; others wait for up to `socket_timeout`."
    )
    health_check_interval: Annotated[int, Field(ge=0)] = Field(
        30, description="Seconds of idleness after which a connection is checked before use; 0 never checks."
    )
    durability: Literal["none", "fsync", "replica"] = Field(
        "none",
        description="When a write counts as done: as the server is configured (`none`), when it is on the server's disk "
        "(`fsync`, Redis 7.2 or newer with its append-only file on), or when `replicas` have it.",
    )
    replicas: Annotated[int, Field(ge=1)] = Field(
        1, description="How many replicas must have a write under `durability: replica`."
    )
    durability_timeout: Seconds = Field(
        2.0, description="Seconds to wait for what `durability` asks for, less than `socket_timeout`."
    )

    @field_validator("url")
    @classmethod
    def _host_only(cls, url: str) -> str:
        if "/" in url or "@" in url:
            raise ValueError("must be a host; write port, db, username, password and use_ssl as keys of their own")
        if not url.strip():
            raise ValueError("must not be empty; remove the key for localhost")
        if ":" in url and not _is_address(url):
            raise ValueError("must be a host alone; write the port as the key 'port'")
        return url

    @field_validator("key_prefix")
    @classmethod
    def _letters_and_digits(cls, prefix: str | None) -> str | None:
        if prefix is not None and not prefix.isalnum():
            raise ValueError("must consist of letters and digits only")
        return prefix

    @field_validator("endpoints")
    @classmethod
    def _hosts_and_ports(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        for endpoint in endpoints:
            host, colon, port = endpoint.rpartition(":")
            if not (host and colon and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
                raise ValueError("must be a list of texts of the form host:port")
        return endpoints

    @model_validator(mode="after")
    def _fits_together(self) -> RedisConfig:
        given = self.model_fields_set
        if self.deployment_mode == "standard" and self.endpoints:
            raise ValueError("'endpoints' needs 'deployment_mode: cluster' or 'deployment_mode: sentinel'")
        if self.deployment_mode == "sentinel" and not self.endpoints:
            raise ValueError("'deployment_mode: sentinel' needs 'endpoints', the host:port of each Sentinel")
        if self.deployment_mode == "sentinel" and given & {"url", "port"}:
            raise ValueError(
                "'url' and 'port' must go: under 'deployment_mode: sentinel' the Sentinels name the server"
            )
        if self.deployment_mode == "cluster" and self.db:
            raise ValueError("a cluster has only database 0; remove 'db', and use 'key_prefix' to keep data apart")
        if self.unix_socket is not None and (self.deployment_mode != "standard" or given & {"url", "port"}):
            raise ValueError("'unix_socket' excludes 'url', 'port' and every 'deployment_mode' but standard")
        if self.unix_socket is not None and self.use_ssl:
            raise ValueError("a Unix socket does not speak TLS; remove 'use_ssl'")
        if given & _TLS_ONLY and not self.use_ssl:
            raise ValueError(
                "there is no TLS without 'use_ssl: true', so the keys that begin with ssl_ would do nothing"
            )
        if self.username is not None and self.password is None:
            raise ValueError("'username' needs a 'password'")
        if self.durability != "none" and self.durability_timeout >= self.socket_timeout:
            raise ValueError("'durability_timeout' must be less than 'socket_timeout'")
        return self

    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each node or Sentinel to begin with."""
        if not self.endpoints:
            return [(self.url, self.port)]
        parts = (endpoint.rpartition(":") for endpoint in self.endpoints)
        return [(host.strip("[]"), int(port)) for host, _, port in parts]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
