"""Who is at the other end: a random token in a cookie, so that a browser finds its own videos again.

There are no accounts. The web server hands every browser that has none a token of 128 random bits, which outlives a
reload and a restart of the browser. JavaScript cannot read it (HttpOnly), other sites cannot send it (SameSite).
"""

import re
import secrets
from http.cookies import SimpleCookie

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE_NAME = "lipsync_owner"
COOKIE_SECONDS = 365 * 24 * 3600
_TOKEN = re.compile(r"[0-9a-f]{32}")


def new_owner() -> str:
    """Give a fresh owner token: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def is_owner_token(text: str | None) -> bool:
    """Tell whether a text has the form of our tokens."""
    return text is not None and _TOKEN.fullmatch(text) is not None


def current_owner() -> str:
    """Give the token of the browser whose page is being drawn.

    A browser that refuses cookies gets a token for this visit only.
    """
    token = st.context.cookies.get(COOKIE_NAME)
    if token is not None and is_owner_token(token):
        return token
    return st.session_state.setdefault(COOKIE_NAME, new_owner())


class OwnerCookieMiddleware:
    """Sets the owner cookie on the first page that a browser loads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_owner_token(HTTPConnection(scope).cookies.get(COOKIE_NAME)):
            await self._app(scope, receive, send)
            return
        is_secure = scope["scheme"] == "https"

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("set-cookie", _cookie_header(new_owner(), is_secure))
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def _cookie_header(token: str, is_secure: bool) -> str:
    cookie: SimpleCookie = SimpleCookie({COOKIE_NAME: token})
    morsel = cookie[COOKIE_NAME]
    morsel["path"] = "/"
    morsel["max-age"] = COOKIE_SECONDS
    morsel["httponly"] = True
    morsel["samesite"] = "Lax"
    if is_secure:
        morsel["secure"] = True
    return morsel.OutputString()


OWNER_COOKIE = Middleware(OwnerCookieMiddleware)
