"""The web page's entry: `streamlit run app.py`.

One file in two roles, as Streamlit's ASGI mode has it: imported by the web server it gives `app` (Streamlit plus the
routes that stream media from disk, plus the cookie that knows a browser again); run by Streamlit for each visitor
it sets up the page and the navigation. The pages themselves are in pages/.
"""

from streamlit.starlette import App

if __name__ == "__main__":
    from pages.parts.frame import show_page

    show_page()
else:
    from pages.parts.file_routes import file_routes
    from pages.parts.owner import OWNER_COOKIE
    from pages.parts.service import show_unexpected_error

    app = App(__file__, routes=file_routes(), middleware=[OWNER_COOKIE], on_script_error=show_unexpected_error)
