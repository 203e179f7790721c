#!/usr/bin/env python3
"""A whole Oraculo miner over documented JSON (docs/miner.md). Needs Python 3.9 and the package `cryptography`.

    python3 miner.py --connect http://127.0.0.1:8787 --api-key-file api.key --seed-file miner.seed --name py --stake 1000000

It answers every open question with the reference moved towards the newest index value, and says on stdout what it did.
"""
import argparse, hashlib, hmac, json, os, random, struct, sys, time, urllib.error, urllib.parse, urllib.request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DONE = {"duplicate_commitment", "duplicate_reveal", "duplicate_miner"}  # it is there already: as good as 200
EARLY = {"commit_too_early", "reveal_too_early"}  # try again


class Refused(Exception):
    pass


class Node:
    """Requests; the same bytes again after a pause until there is an answer that counts."""

    def __init__(self, url, key):
        self.url, self.key = url.rstrip("/"), key

    def call(self, path, body=None, tries=8):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer " + self.key, "Content-Type": "application/json"}
        for attempt in range(tries):
            try:
                request = urllib.request.Request(self.url + "/v1/" + path, data, headers)
                with urllib.request.urlopen(request, timeout=15) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                try:
                    code = json.load(error).get("code", "unknown")
                except ValueError:
                    code = "unknown"
                if code in DONE:
                    return {}
                if code not in EARLY and error.code not in (408, 429) and error.code < 500:
                    raise Refused(code) from None
                last = code
            except (OSError, ValueError) as error:
                last = str(error)
            time.sleep(random.uniform(0, min(1.0, 0.025 * 2**attempt)))  # full jitter
        raise Refused(last)


class Miner:
    def __init__(self, node, seed, name, stake):
        self.node, self.seed, self.sign = node, seed, Ed25519PrivateKey.from_private_bytes(seed).sign
        self.id = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        self.network = bytes.fromhex(node.call("network", tries=60)["hash"])
        text = lambda s: struct.pack(">I", len(s.encode())) + s.encode()
        message = b"oraculo/registration-sig/v1\0" + self.network + self.id + text(name) + text("model") + struct.pack(">q", stake)
        self.node.call("miner/registrations", {"miner": self.id.hex(), "name": name, "kind": "model",
                                               "stake_micros": str(stake), "signature": self.sign(message).hex()})
        self.promises, self.since, self.price = {}, 0, {}

    def forecast(self, q):
        """Parts per million: the reference, a little nearer to 1 above the strike and to 0 below it."""
        price = self.price.get(q["symbol"])
        lean = 0 if price is None else 20_000 if price >= float(q["strike"]) else -20_000
        return min(999_999, max(1, q["reference_ppm"] + lean))

    def seal(self, q, p):
        """Commitment hash and nonce. The nonce follows from the seed, so a restart opens the same seal."""
        question = bytes.fromhex(q["id"])
        nonce = hmac.new(self.seed, b"nonce" + self.network + question, hashlib.sha256).digest()
        number = bytes([p]) if p < 24 else b"\x18" + bytes([p]) if p < 256 else b"\x19" + struct.pack(">H", p) if p < 65_536 else b"\x1a" + struct.pack(">I", p)
        payload = b"\x82\x00\x81" + number  # CBOR [0, [p]]
        parts = [b"oraculo/commit/v1\0", self.network, question, self.id, bytes(32), nonce, struct.pack(">I", len(payload)), payload]
        return hashlib.sha256(b"".join(parts)).digest(), nonce

    def handle(self, q):
        question, stage = bytes.fromhex(q["id"]), self.promises.get(q["id"], (None, ""))[1]
        if q["phase"] == "commit" and not stage:
            p = self.forecast(q)
            digest, _ = self.seal(q, p)
            self.promises[q["id"]] = (p, "sealed")  # a miner that must survive a crash writes this to disk first
            signature = self.sign(b"oraculo/commitment-sig/v1\0" + question + self.id + digest)
            self.node.call("miner/commitments", {"miner": self.id.hex(), "question": q["id"], "hash": digest.hex(), "signature": signature.hex()})
            self.say("committed", q, p)
        elif q["phase"] == "reveal" and stage == "sealed":
            p = self.promises[q["id"]][0]
            self.promises[q["id"]] = (p, "revealed")
            digest, nonce = self.seal(q, p)
            signature = self.sign(b"oraculo/reveal-sig/v1\0" + digest)
            self.node.call("miner/reveals", {"miner": self.id.hex(), "question": q["id"], "bundle": "00" * 32, "nonce": nonce.hex(),
                                             "forecast": {"kind": "probability", "p_ppm": p}, "signature": signature.hex()})
            self.say("revealed", q, p)

    def step(self):
        for q in self.node.call("questions?state=open")["data"]:
            more = q["phase"] == "commit" and q["id"] not in self.promises
            while more:  # what the index did since the last look
                facts = self.node.call(f"market/{urllib.parse.quote(q['symbol'], safe='')}/history?since={self.since}")
                self.since, more = facts["next"], facts["has_more"]
                self.price.update((f["tick"]["symbol"], float(f["tick"]["value"])) for f in facts["data"] if "tick" in f)
            try:
                self.handle(q)
            except Refused as error:
                self.say(f"refused {error}", q, None)

    def say(self, what, q, p):
        print(json.dumps({"what": what, "question": q["id"], "p_ppm": p}), flush=True)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("connect", "api-key-file", "seed-file", "name"):
        args.add_argument("--" + name, required=True)
    args.add_argument("--stake", type=int, default=1_000_000)
    args.add_argument("--until-scored", action="store_true", help="stop after the first scored prediction")
    args = args.parse_args()
    if not os.path.exists(args.seed_file):
        with open(os.open(args.seed_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(32).hex() + "\n")
    node = Node(args.connect, open(args.api_key_file).read().strip())
    miner, looked = Miner(node, bytes.fromhex(open(args.seed_file).read()), args.name, args.stake), 0.0
    while True:
        try:
            miner.step()
            if time.monotonic() - looked > 2:
                looked, record = time.monotonic(), node.call("miners/" + miner.id.hex())
                if args.until_scored and record["n"] > 0:
                    print(json.dumps({"what": "scored", "record": record}), flush=True)
                    return
        except Refused as error:
            print(json.dumps({"what": f"waiting: {error}"}), file=sys.stderr, flush=True)
        time.sleep(0.25)


if __name__ == "__main__":
    main()
