import pytest

from holdfast.endpoints import read_endpoints


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write an endpoints.yml and read it with nothing but the given variables in the environment."""
    monkeypatch.chdir(tmp_path)

    def written(text, **environ):
        (tmp_path / "endpoints.yml").write_text(text, encoding="utf-8")
        return read_endpoints("endpoints.yml", required=True, environ=environ)

    return written
