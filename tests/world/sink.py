"""Where alerts arrive: a real SMTP server with STARTTLS and AUTH, or an HTTPS server that checks
signatures. What arrives is written to a file, a line of JSON each.

    sink.py smtp|https ADDRESS PORT CERTIFICATE KEY OUT

OUT is there as soon as it listens. The SMTP user is "alerts"; its password, or the key of the
signatures, is the first line of standard input.
"""

import asyncio
import hashlib
import hmac
import json
import ssl
import sys
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

KIND, ADDRESS, PORT, CERTIFICATE, KEY, OUT = sys.argv[1:]
SECRET = sys.stdin.readline().strip()


def note(line):
    with open(OUT, "a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def listens():
    open(OUT, "a", encoding="utf-8").close()


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.original_content, policy=policy.default)
        note({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": str(mail["subject"]),
            "automatic": str(mail["auto-submitted"]),
            "text": mail.get_content(),
            "encrypted": session.ssl is not None,
            "signed_in": session.authenticated,
        })
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    from aiosmtpd.smtp import AuthResult

    right = (data.login, data.password) == (b"alerts", SECRET.encode())
    return AuthResult(success=right, handled=right)


async def smtp():
    from aiosmtpd.smtp import SMTP

    def server():
        return SMTP(Mailbox(), tls_context=tls(), require_starttls=True, auth_required=True,
                    auth_require_tls=True, authenticator=authenticate)

    listening = await asyncio.get_running_loop().create_server(server, ADDRESS, int(PORT))
    listens()
    await listening.serve_forever()


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = self.headers["Retention-Timestamp"].encode() + b"." + body
        right = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(right, self.headers["Retention-Signature"])
        note({"genuine": genuine, "id": self.headers["Retention-Id"], "body": json.loads(body)})
        self.send_response(204 if genuine else 401)
        self.end_headers()


if KIND == "smtp":
    asyncio.run(smtp())
else:
    https = HTTPServer((ADDRESS, int(PORT)), Webhook)
    https.socket = tls().wrap_socket(https.socket, server_side=True)
    listens()
    https.serve_forever()
