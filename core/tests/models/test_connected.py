"""What endpoints.yml says of models is what `connect` opens."""

from __future__ import annotations

import pytest

import holdfast
from holdfast import ConfigurationError


@pytest.fixture
def endpoints(tmp_path):
    def endpoints(models: str = "") -> holdfast.Connection:
        file = tmp_path / "endpoints.yml"
        file.write_text(f"persistor:\n  type: disk\n  path: {tmp_path / 'store'}\n  prefix: team\n{models}")
        return holdfast.connect(file)

    return endpoints


def test_the_sections_persistor_and_models_are_used(endpoints, tmp_path, tea, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tea-1").mkdir()  # `name` is a name, whatever lies about here
    connection = endpoints(f"models:\n  name: tea-1\n  directory: {tmp_path / 'cache'}\n  keep: 1\n")
    with connection as hf:
        assert hf.models.push(tea(1)).key == "team/tea-1.tar.gz"
        hf.models.push(tea(2))
        assert hf.models.deploy().name == "tea-1"
        hf.models.deploy("tea-2")
        assert hf.models.history() == ()
        with pytest.raises(holdfast.ModelNotFoundError, match="in persistor 'disk'"):
            hf.models.get("none")
    assert (tmp_path / "cache" / "deployed.json").is_file()


async def test_the_async_face_is_opened_the_same_way(endpoints, tmp_path, tea):
    path = f"models:\n  path: {tea(1).parent}\n  directory: {tmp_path / 'cache'}\n"
    async with endpoints(path) as hf:
        assert (await hf.models.deploy()).name == "tea-2"


def test_without_a_section_models_the_latest_stored_is_deployed(endpoints, tmp_path, tea, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with endpoints() as hf:
        hf.models.push(tea(2), "b")
        hf.models.push(tea(1), "c")
        assert hf.models.deploy().name == "b"


def test_a_model_server_is_not_taken_for_something_else(endpoints):
    message = "`url` is not supported yet: use `path` or `name`"
    with (
        endpoints("models:\n  url: https://example.org/model\n") as hf,
        pytest.raises(ConfigurationError, match=message),
    ):
        hf.models.deploy()


def test_a_disk_without_path_is_refused(tmp_path):
    file = tmp_path / "endpoints.yml"
    file.write_text("persistor:\n  type: disk\n")
    with pytest.raises(ConfigurationError, match="path"), holdfast.connect(file):
        pass
