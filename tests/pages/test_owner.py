"""The cookie by which a browser finds its own videos again."""

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from pages.parts.owner import COOKIE_NAME, OWNER_COOKIE, is_owner_token


@pytest.fixture
def browser(serve):
    routes = [
        Route("/", lambda request: HTMLResponse("<p>page")),
        Route("/file", lambda request: PlainTextResponse("not a page")),
    ]
    return serve(Starlette(routes=routes, middleware=[OWNER_COOKIE]))


def token_in(answer) -> str:
    return answer.headers["set-cookie"].split(";")[0].removeprefix(f"{COOKIE_NAME}=")


def test_the_first_page_hands_out_a_token_that_scripts_and_other_sites_cannot_use(browser):
    answer = browser.ask("GET", "/")
    assert is_owner_token(token_in(answer))
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=31536000"} <= set(answer.headers["set-cookie"].split("; "))


def test_a_browser_keeps_its_token(browser):
    browser.ask("GET", "/")
    assert "set-cookie" not in browser.ask("GET", "/").headers


def test_two_browsers_get_two_tokens(browser):
    first = token_in(browser.ask("GET", "/"))
    browser.cookie = None
    assert token_in(browser.ask("GET", "/")) != first


def test_a_forged_token_is_replaced(browser):
    browser.cookie = f"{COOKIE_NAME}=../../somebody"
    assert is_owner_token(token_in(browser.ask("GET", "/")))


def test_files_carry_no_cookie(browser):
    assert "set-cookie" not in browser.ask("GET", "/file").headers
