"""`make app`, `make services`, `make stop`: the studio on this machine."""

import argparse
import os
import socket
import sys
import time

from scripts.stack import RUN_FOLDER, Stack, StackError, running_stack

PORT = int(os.environ.get("STREAMLIT_SERVER_PORT", "8501"))
LOOK_SECONDS = 1.0


def main() -> int:
    """Run one of the three; gives the exit code."""
    parser = argparse.ArgumentParser(description="The studio on this machine.")
    parser.add_argument("what", choices=("app", "services", "stop"))
    what = parser.parse_args().what
    try:
        if what == "app":
            run_app()
        elif what == "services":
            start_services()
        else:
            stopped = Stack(RUN_FOLDER / "demo").stop_all() + Stack(RUN_FOLDER).stop_all()
            print("stopped " + ", ".join(stopped) if stopped else "nothing was running")
    except StackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def run_app() -> None:
    """Redis, worker and page in the foreground, until Ctrl-C or until one of them ends."""
    _check_port_is_free()
    with running_stack(RUN_FOLDER) as stack:
        print("Starting Redis ...", flush=True)
        stack.start_redis()
        print("Starting the worker ...", flush=True)
        stack.start_worker()
        print("Starting the page ...", flush=True)
        stack.start_page(PORT)
        print(f"\nThe studio is at http://localhost:{PORT} (logs: {RUN_FOLDER}/*.log). Ctrl-C stops it.", flush=True)
        while True:
            time.sleep(LOOK_SECONDS)
            stack.check()


def start_services() -> None:
    """Redis and worker in the background."""
    stack = Stack(RUN_FOLDER)
    try:
        stack.start_redis()
        stack.start_worker()
    except (StackError, KeyboardInterrupt):
        stack.stop()
        raise
    print(f"Redis and worker run; `make stop` ends them. For a page or queue of your own:\n"
          f"  export LIPSYNC_REDIS_URL={stack.environment['LIPSYNC_REDIS_URL']}")  # fmt: skip


def _check_port_is_free() -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise StackError(
                f"port {PORT} is taken. Is the studio running already? "
                "Another port: STREAMLIT_SERVER_PORT=8502 make app"
            )


if __name__ == "__main__":
    sys.exit(main())
