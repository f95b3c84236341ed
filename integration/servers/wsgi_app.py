"""An application of Python's web servers: it reads each request's body, answers 200, and writes a line into the server's log."""

import os
import sys

LOG = os.open(os.environ["REQUEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(method, target):
    """Method and target of a request that the server has run."""
    line = f"{method} {target}".encode("latin-1", "replace")
    os.write(LOG, bytes(byte if 32 <= byte < 127 else ord("?") for byte in line) + b"\n")


def target_of(environ):
    """The target as it was sent, where the server tells it."""
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    query = environ.get("QUERY_STRING")
    return raw or environ.get("PATH_INFO", "") + ("?" + query if query else "")


def application(environ, start_response):
    """WSGI (PEP 3333)."""
    method, target = environ["REQUEST_METHOD"], target_of(environ)
    note(method, target)
    if "uwsgi" in sys.modules and environ.get("HTTP_TRANSFER_ENCODING"):
        while sys.modules["uwsgi"].chunked_read():
            pass
    elif environ.get("CONTENT_LENGTH") or environ.get("HTTP_TRANSFER_ENCODING"):
        environ["wsgi.input"].read()
    body = f"ok {method} {target}\n".encode("latin-1", "replace")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
