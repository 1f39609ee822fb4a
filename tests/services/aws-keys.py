#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
# aws-keys.py DIR: what hands out keys for S3 beside a program, on a free port
# of 127.0.0.1, which it prints: instance metadata (version 2), a container's
# agent (/container), the Security Token Service (POST /). Each answer has a
# new key, KEYn (DIR/count). DIR/rules has lines NAME=VALUE, read at each request:
#   lifetime=S     of what is handed out (default 3600)
#   status=N       every request is answered so
#   norole=1       the instance has no role
#   authorization= what the container's request must carry
#   late=S         an answer takes that long
# DIR/log gets a line for each request: METHOD PATH STATUS.
import http.server
import json
import os
import sys
import time
import urllib.parse

folder = sys.argv[1]
TOKEN = "metadata-token-1"


def rules():
    try:
        with open(os.path.join(folder, "rules")) as f:
            return dict(x.rstrip("\n").split("=", 1) for x in f if "=" in x)
    except FileNotFoundError:
        return {}


def keys(r):
    name = os.path.join(folder, "count")
    count = 1
    if os.path.exists(name):
        with open(name) as f:
            count = int(f.read()) + 1
    with open(name, "w") as f:
        f.write(str(count))
    end = time.time() + int(r.get("lifetime", 3600))
    return {
        "Code": "Success",
        "AccessKeyId": "KEY%d" % count,
        "SecretAccessKey": "very-secret-%d" % count,
        "Token": "session-token-%d" % count,
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)),
    }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="text/plain"):
        with open(os.path.join(folder, "log"), "a") as f:
            f.write("%s %s %d\n" % (self.command, self.path, status))
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forced(self, r):
        time.sleep(float(r.get("late", 0)))
        if "status" in r:
            self.answer(int(r["status"]), "as the rules say")
        return "status" in r

    def do_PUT(self):
        r = rules()
        if self.forced(r):
            return
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path == "/latest/api/token" and ttl.isdigit():
            self.answer(200, TOKEN)
        else:
            self.answer(400, "")

    def do_GET(self):
        r = rules()
        roles = "/latest/meta-data/iam/security-credentials/"
        if self.forced(r):
            return
        if self.path == "/container":
            want = r.get("authorization")
            if want is not None and self.headers.get("Authorization") != want:
                self.answer(401, "")
            else:
                self.answer(200, json.dumps(keys(r)), "application/json")
        elif self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.answer(401, "")  # version 1 is off
        elif "norole" in r:
            self.answer(404, "")
        elif self.path == roles:
            self.answer(200, "backup-role\n")
        elif self.path == roles + "backup-role":
            self.answer(200, json.dumps(keys(r)), "application/json")
        else:
            self.answer(404, "")

    def do_POST(self):
        r = rules()
        n = int(self.headers.get("Content-Length", 0))
        form = urllib.parse.parse_qs(self.rfile.read(n).decode())
        if self.forced(r):
            return
        token = form.get("WebIdentityToken", [""])[0]
        if token != r.get("identity", "identity/1"):
            self.answer(400, "<ErrorResponse xmlns='https://sts.amazonaws.com/"
                        "doc/2011-06-15/'><Error><Type>Sender</Type><Code>"
                        "ExpiredTokenException</Code><Message>Token expired: "
                        "its time is over</Message></Error></ErrorResponse>",
                        "text/xml")
            return
        k = keys(r)
        with open(os.path.join(folder, "form"), "w") as f:
            f.write("%s %s %s %s" % tuple(form.get(x, [""])[0] for x in (
                "Action", "Version", "RoleArn", "RoleSessionName")))
        self.answer(200, "<AssumeRoleWithWebIdentityResponse xmlns='https://"
                    "sts.amazonaws.com/doc/2011-06-15/'>"
                    "<AssumeRoleWithWebIdentityResult><Credentials>"
                    "<SessionToken>%s</SessionToken><SecretAccessKey>%s"
                    "</SecretAccessKey><Expiration>%s</Expiration>"
                    "<AccessKeyId>%s</AccessKeyId></Credentials>"
                    "</AssumeRoleWithWebIdentityResult>"
                    "</AssumeRoleWithWebIdentityResponse>" % (
                        k["Token"], k["SecretAccessKey"], k["Expiration"],
                        k["AccessKeyId"]), "text/xml")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
