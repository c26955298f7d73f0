"""A service: GET /KEY is answered with JSON."""

import json
import os
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


def serve(name, answer):
    """Serves what `answer` says of a key, until it is stopped."""
    sample = float(os.environ.get("TELEMETRY_SAMPLE", "0"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({name: answer(unquote(self.path[1:]))}).encode() + b"\n"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code="-", size="-"):
            if random.random() < sample:
                super().log_request(code, size)

    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), Handler).serve_forever()
