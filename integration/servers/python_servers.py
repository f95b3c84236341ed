"""Python's http.server and cheroot. Usage: python_servers.py http.server|cheroot ADDRESS PORT, with REQUEST_LOG set."""

import http.server
import sys

import wsgi_app


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads the body of each request, which http.server leaves to its handlers, and answers 200."""

    protocol_version = "HTTP/1.1"
    # A client that goes away takes its thread along.
    timeout = 20

    def answer(self):
        """Any method."""
        wsgi_app.note(self.command, self.path)
        if self.headers.get("Transfer-Encoding"):
            # Nobody here can tell where such a body ends.
            self.send_error(501)
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"ok {self.command} {self.path}\n".encode("latin-1", "replace")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_TRACE = do_PATCH = answer

    def log_message(self, *_words):
        """The log is the application's."""


def main():
    """Serves until it is killed."""
    name, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if name == "cheroot":
        from cheroot import wsgi

        wsgi.Server((address, port), wsgi_app.application, numthreads=8, timeout=20).start()
    else:
        http.server.ThreadingHTTPServer((address, port), Handler).serve_forever()


main()
