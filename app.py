"""The web page's entry: `streamlit run app.py`.

The server is Streamlit's, with two things beside it: routes that stream media from and to disk (Streamlit itself keeps
both in memory), and the cookie that knows a browser again. What Streamlit runs for every visitor is pages/frame.py.
"""

from pathlib import Path

from streamlit.starlette import App

from pages.parts.file_routes import file_routes
from pages.parts.owner import OWNER_COOKIE
from pages.parts.service import show_unexpected_error

app = App(
    Path(__file__).parent / "pages" / "frame.py",
    routes=file_routes(),
    middleware=[OWNER_COOKIE],
    on_script_error=show_unexpected_error,
)
