#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""s3-request.py METHOD PATH[?QUERY] [-d FILE] [HEADER:VALUE...]

One signed request to an S3 server, so that tests can make buckets and look at
objects without the program under test. Where and as whom comes from the
environment (what s3-server start prints): S3_ENDPOINT, S3_ACCESS_KEY,
S3_SECRET_KEY, S3_SESSION_TOKEN, S3_REGION, S3_CA. A path that begins with "sts?"
goes to the service sts. The answer's body goes to stdout; a status that is not
2xx goes with the body to stderr, and the exit code is 1 then.
    s3-request.py PUT /bucket
    s3-request.py GET '/bucket?list-type=2&prefix=a/'
    s3-request.py POST 'sts?Action=AssumeRole&RoleArn=arn:aws:iam:::role/r1&...'
Needs nothing but python3.
"""
import datetime
import hashlib
import hmac
import http.client
import os
import ssl
import sys
from urllib.parse import quote, unquote, urlsplit


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sign(method, path, query, headers, payload_hash, service):
    """The Authorization header of AWS signature version 4."""
    env = os.environ
    region = env.get("S3_REGION", "us-east-1")
    when = headers["x-amz-date"]
    names = sorted(h.lower() for h in headers)
    values = {h.lower(): v.strip() for h, v in headers.items()}
    canonical = "\n".join([
        method, path, query,
        "".join("%s:%s\n" % (n, values[n]) for n in names),
        ";".join(names), payload_hash])
    scope = "%s/%s/%s/aws4_request" % (when[:8], region, service)
    text = "\n".join(["AWS4-HMAC-SHA256", when, scope, sha256(canonical.encode())])
    key = ("AWS4" + env["S3_SECRET_KEY"]).encode()
    for part in (when[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        env["S3_ACCESS_KEY"], scope, ";".join(names),
        hmac.new(key, text.encode(), hashlib.sha256).hexdigest())


def request(method, target, body, more):
    where = urlsplit(os.environ["S3_ENDPOINT"])
    service = "s3"
    if target.startswith("sts?"):
        service, target, body = "sts", "/", target[4:].encode()
        more = dict(more, **{"Content-Type": "application/x-www-form-urlencoded"})
    path, _, query = target.partition("?")
    path = quote(unquote(path))
    pairs = [p.partition("=")[::2] for p in query.split("&") if p]
    query = "&".join(sorted("%s=%s" % (quote(unquote(k), safe=""), quote(unquote(v), safe=""))
                            for k, v in pairs))
    headers = {
        "Host": where.netloc,
        "x-amz-date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-content-sha256": sha256(body),
    }
    if os.environ.get("S3_SESSION_TOKEN"):
        headers["x-amz-security-token"] = os.environ["S3_SESSION_TOKEN"]
    headers.update(more)
    headers["Authorization"] = sign(method, path, query, headers, sha256(body), service)
    if where.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ.get("S3_CA"))
        conn = http.client.HTTPSConnection(where.hostname, where.port, context=context, timeout=60)
    else:
        conn = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    conn.request(method, path + ("?" + query if query else ""), body, headers)
    answer = conn.getresponse()
    return answer.status, answer.read()


def main(args):
    if len(args) < 2:
        sys.exit(__doc__)
    method, target, rest = args[0], args[1], args[2:]
    body = b""
    if rest[:1] == ["-d"]:
        with open(rest[1], "rb") as f:
            body = f.read()
        rest = rest[2:]
    status, text = request(method, target, body, {h.partition(":")[0]: h.partition(":")[2] for h in rest})
    if 200 <= status < 300:
        sys.stdout.buffer.write(text)
        return 0
    sys.stderr.write("%d %s\n" % (status, text.decode(errors="replace")))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
