"""A local HTTP server whose responses are scripted by a test."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """A server that computes each response from the request, and records all requests."""

    def __init__(self, answer, context=None):
        """Start the server.

        Args:
            answer: ``answer(request)`` returns status, headers and body, or None to close the connection without a
                response; a body that is not bytes is sent as JSON.
            context: the SSL context; None: plain HTTP.
        """
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = {
                    "method": self.command,
                    "path": self.path,
                    "headers": self.headers,
                    "body": json.loads(content) if content else None,
                    "handler": self,
                }
                outer.requests.append(request)
                response = answer(request)
                if response is None:
                    self.close_connection = True
                    return
                status, headers, body = response
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST  # noqa: N815  http.server requires this name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *arguments: None  # some tests close the connection on purpose
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
