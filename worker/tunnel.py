"""Tunnel: the page under a public https address, through ngrok: open, describe, close."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyngrok import ngrok
from pyngrok.conf import PyngrokConfig
from pyngrok.exception import PyngrokError

from worker.errors import TunnelUnavailable
from worker.settings import Settings


@dataclass(frozen=True)
class Tunnel:
    """An open tunnel: its public address, and the local one that it leads to."""

    public_url: str
    local_address: str


def open_tunnel(settings: Settings, port: int) -> Tunnel:
    """Make `http://localhost:<port>` reachable from anywhere; gives the tunnel that is open already if there is one.

    Raises:
        TunnelUnavailable: without a token, without the ngrok program, or if ngrok refuses.
    """
    config = _config(settings)
    with _told_in_words():
        for tunnel in ngrok.get_tunnels(config):
            if _local_address(tunnel) in (f"http://localhost:{port}", f"localhost:{port}"):
                return Tunnel(str(tunnel.public_url), _local_address(tunnel))
        tunnel = ngrok.connect(str(port), "http", pyngrok_config=config)
    return Tunnel(str(tunnel.public_url), _local_address(tunnel))


def describe_tunnels(settings: Settings) -> list[Tunnel]:
    """The tunnels that this process has open.

    Raises:
        TunnelUnavailable: as `open_tunnel`.
    """
    with _told_in_words():
        tunnels = ngrok.get_tunnels(_config(settings))
    return [Tunnel(str(tunnel.public_url), _local_address(tunnel)) for tunnel in tunnels]


def close_tunnel(settings: Settings, tunnel: Tunnel) -> None:
    """Close a tunnel and end the ngrok process; nothing happens if it is closed already.

    Raises:
        TunnelUnavailable: as `open_tunnel`.
    """
    config = _config(settings)
    with _told_in_words():
        ngrok.disconnect(tunnel.public_url, config)
        ngrok.kill(config)


def _config(settings: Settings) -> PyngrokConfig:
    if settings.ngrok_auth_token is None:
        raise TunnelUnavailable(
            "Sharing needs an ngrok token: make one at https://dashboard.ngrok.com and set LIPSYNC_NGROK_AUTH_TOKEN."
        )
    program = str(settings.ngrok_program) if settings.ngrok_program else None
    return PyngrokConfig(auth_token=settings.ngrok_auth_token.get_secret_value(), ngrok_path=program)


def _local_address(tunnel: ngrok.NgrokTunnel) -> str:
    return str(tunnel.config.get("addr", ""))


@contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except PyngrokError as error:
        raise TunnelUnavailable(f"ngrok could not do it: {error}") from error
