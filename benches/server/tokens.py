"""Tokens as Better Auth issues them, and the issuer's key set on loopback."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from databases import READER, WRITER


class Tokens:
    """One token for each user, signed with `EdDSA` (the issuer's published key) or `HS256` (a shared secret)."""

    def __init__(self, algorithm):
        private = Ed25519PrivateKey.generate()
        public = jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        keys = {"keys": [{"alg": "EdDSA", "crv": public["crv"], "x": public["x"], "kty": "OKP", "kid": KID}]}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), serving(keys))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.algorithm = algorithm
        self.secret = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n" if algorithm == "HS256" else None
        self.key = self.secret or private
        self.reader, self.writer = self.sign(READER), self.sign(WRITER)

    def sign(self, user):
        now = int(time.time())
        time_of_sign_up = "2026-11-21T02:18:16.111Z"
        claims = {
            "iat": now, "name": "Ada Lovelace", "email": "ada@example.test", "emailVerified": False, "image": None,
            "createdAt": time_of_sign_up, "updatedAt": time_of_sign_up, "id": user, "sub": user, "sid": "Yc6Pf1Nj4q8Xv2mZt7LrB9sKd3Hw5TgQ",
            "exp": now + 24 * 3600, "iss": self.issuer, "aud": self.issuer,
        }
        return jwt.encode(claims, self.key, self.algorithm, headers=None if self.secret else {"kid": KID, "typ": None})

    def close(self):
        self.server.shutdown()
        self.server.server_close()


KID = "e89bnvnZ1WwbYyWzLeteLs9wyKorQ2vA"


def serving(keys):
    body = json.dumps(keys).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
