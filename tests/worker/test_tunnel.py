"""The tunnel against a mock of pyngrok only: no account and no network here, so nothing is known of the real one."""

from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from pyngrok import ngrok
from pyngrok.exception import PyngrokNgrokError

from worker.errors import TunnelUnavailable
from worker.settings import Settings
from worker.tunnel import Tunnel, close_tunnel, describe_tunnels, open_tunnel

WITH_TOKEN = Settings(ngrok_auth_token=SecretStr("secret-token"))


@pytest.fixture
def mock_ngrok(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """What ngrok has open."""
    tunnels: list[SimpleNamespace] = []

    def connect(port: str, proto: str, pyngrok_config: object) -> SimpleNamespace:
        tunnels.append(SimpleNamespace(public_url="https://x.ngrok.app", config={"addr": f"http://localhost:{port}"}))
        return tunnels[-1]

    monkeypatch.setattr(ngrok, "connect", connect)
    monkeypatch.setattr(ngrok, "get_tunnels", lambda config: list(tunnels))
    monkeypatch.setattr(ngrok, "disconnect", lambda url, config: tunnels.clear())
    monkeypatch.setattr(ngrok, "kill", lambda config: None)
    return tunnels


def test_without_a_token_it_says_where_to_get_one():
    with pytest.raises(TunnelUnavailable, match="LIPSYNC_NGROK_AUTH_TOKEN"):
        open_tunnel(Settings(ngrok_auth_token=None), 8501)


def test_a_mock_tunnel_is_opened_once_described_and_closed(mock_ngrok: list[SimpleNamespace]):
    tunnel = open_tunnel(WITH_TOKEN, 8501)
    assert tunnel == Tunnel("https://x.ngrok.app", "http://localhost:8501")
    assert open_tunnel(WITH_TOKEN, 8501) == tunnel
    assert describe_tunnels(WITH_TOKEN) == [tunnel]
    close_tunnel(WITH_TOKEN, tunnel)
    assert describe_tunnels(WITH_TOKEN) == []


def test_what_a_mock_ngrok_refuses_is_told_in_words(monkeypatch: pytest.MonkeyPatch):
    def refuse(config: object) -> None:
        raise PyngrokNgrokError("bad token")

    monkeypatch.setattr(ngrok, "get_tunnels", refuse)
    with pytest.raises(TunnelUnavailable, match="bad token"):
        open_tunnel(WITH_TOKEN, 8501)


def test_the_token_is_not_shown_with_the_settings():
    assert "secret-token" not in repr(WITH_TOKEN)
