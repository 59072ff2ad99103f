"""Files as they are found in assistants: what is not ours is left alone, what is ours is understood."""

import pytest

from holdfast.errors import ConfigurationError

TEMPLATE = """\
# This file contains the different endpoints your bot can use.

# Server where the models are pulled from.
#models:
#  url: http://my-server.com/models/default_core@latest
#  wait_time_between_pulls:  10   # [optional](default: 100)

# Server which runs your custom actions.
#action_endpoint:
#  url: "http://localhost:5055/webhook"

#tracker_store:
#    type: redis
#    url: <host of the redis instance, e.g. localhost>
#    db: <number of your database within redis, e.g. 0>
#    password: <password used for authentication>
#    use_ssl: <whether or not the communication is encrypted, default false>
"""

CHILDREN_COMMENTED_OUT = """\
tracker_store:
    # type: mongod
    # url: <url to your mongo instance, e.g. mongodb://localhost:27017>
event_broker:
  # url: localhost
  # queue: queue
models:
  # url: http://my-server.com/models/default
action_endpoint:
  url: "http://localhost:5055/webhook"
"""

SQL = """\
action_endpoint:
  url: http://${ACTIONS_HOST}:5055/webhook
  token: ${ACTIONS_TOKEN}
nlg:
  url: http://${NLG_HOST}:5056/nlg
tracker_store:
  type: SQL
  dialect: "postgresql"
  url: "postgres"
  port: ${DB_PORT}
  db: "rasa"
  username: # username used for authentication
  password: ${DB_PASSWORD}
  query:
    sslmode: require
lock_store:
  type: redis
  url: redis
  port: 6379
  password: ${REDIS_PASSWORD}
event_broker:
  type: pika
  url: rabbit
  username: user
  password: ${RABBIT_PASSWORD}
  queues:
    - queue-1
"""

REDIS = """\
---
models:
  url: http://rasa-x:5002/api/projects/default/models/tags/production
  token: ${RASA_MODEL_TOKEN}
  wait_time_between_pulls: ${PULL_SECONDS}
tracker_store:
  store_type: redis
  url: redis
  port: 6379
  db: 0
  password:
  key_prefix: "alpha"
  record_exp: 30000
  use_ssl: false
event_broker:
  type: "kafka"
  security_protocol: "SASL_PLAINTEXT"
  topic: "topic"
  url: "localhost"
"""

MONGO = """\
tracker_store: {type: mongod, url: 'mongodb://mongo:27017', db: rasa, username: "${MONGO_USER}", password: '${MONGO_PW}'}
nlu: {url: "${SOMETHING_ELSE}"}
"""

MERGED = """\
defaults: &redis
  url: redis
  password: ${REDIS_PASSWORD}
lock_store:
  <<: *redis
  type: redis
tracker_store:
  <<: *redis
  type: redis
  db: 1
"""


@pytest.mark.parametrize("text", [TEMPLATE, CHILDREN_COMMENTED_OUT])
def test_a_template_means_the_defaults(read, text):
    endpoints = read(text)
    assert endpoints.tracker_store.is_default
    assert endpoints.models is None
    assert endpoints.persistor is None


def test_sql_with_all_the_sections_of_others(read):
    section = read(SQL, DB_PORT="5432", DB_PASSWORD="p").tracker_store
    assert section.name == "SQL"
    assert section.options == {
        "dialect": "postgresql",
        "url": "postgres",
        "port": "5432",
        "db": "rasa",
        "username": None,
        "password": "p",
        "query": {"sslmode": "require"},
    }


def test_sql_with_its_own_variable_unset(read):
    with pytest.raises(
        ConfigurationError, match="tracker_store: password: the environment variable DB_PASSWORD is not set"
    ):
        read(SQL, DB_PORT="5432")


def test_redis_and_a_model_server(read):
    endpoints = read(REDIS, RASA_MODEL_TOKEN="t", PULL_SECONDS="20")
    assert endpoints.tracker_store.name == "redis"
    assert endpoints.tracker_store.options["record_exp"] == 30000
    assert endpoints.models.wait_time_between_pulls == 20
    assert endpoints.models.token.get_secret_value() == "t"


def test_mongo_on_one_line(read):
    section = read(MONGO, MONGO_USER="u", MONGO_PW="p").tracker_store
    assert (section.name, section.options["username"], section.options["password"]) == ("mongod", "u", "p")


def test_keys_merged_from_an_anchor(read):
    section = read(MERGED, REDIS_PASSWORD="p").tracker_store
    assert section.options == {"url": "redis", "password": "p", "db": 1}
