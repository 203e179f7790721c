#!/usr/bin/env python3
"""Seeds for a fuzz target: short runs of lines of the recordings in ../shared/data, where that folder exists."""
import glob
import os
import sys

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared", "data")
FILES = {
    "kalshi": ["kalshi/*.json*"],
    "polymarket": ["polymarket/nautilus_test_data/*.json"],
    "rtds": ["polymarket/nautilus_test_data/*rtds*.json"],
    "polymarket_rest": ["polymarket/nautilus_test_data/*.json"],
    "kalshi_rest": ["kalshi/*.json*"],
    "binance": ["crypto-ws/*BINANCE*ws*", "crypto-ws/*BINANCE*http*"],
    "coinbase": ["crypto-ws/*COINBASE*"],
    "kraken": ["crypto-ws/*KRAKEN*"],
    "import": ["kalshi/*.jsonl", "crypto-ws/*BINANCE.ws*", "crypto-ws/*KRAKEN.ws.48*"],
    "scan": ["kalshi/*.json*", "polymarket/nautilus_test_data/*.json"],
}
# A capture's line is `time: frame` or `URL -> time: body`; a body is fed as an answer.
ANSWER = b"@\x00"


def frames(path):
    with open(path, "rb") as file:
        text = file.read(400_000)
    if path.endswith(".json"):
        return [b" ".join(text.split(b"\n"))]
    out = []
    for line in text.split(b"\n"):
        if not line.strip():
            continue
        head, _, body = line.partition(b": ")
        if line.startswith(b"{") or line.startswith(b"["):
            out.append(line)
        elif b" -> " in head and len(body) < 8_000:
            out.append(ANSWER + body)
        elif b" <-" not in head and body:
            out.append(body)
    return out


def main():
    target, corpus = sys.argv[1], sys.argv[2]
    count = 0
    for pattern in FILES.get(target, []):
        for path in sorted(glob.glob(os.path.join(DATA, pattern))):
            lines = frames(path)
            for start in range(0, min(len(lines), 120), 6):
                seed = b"\n".join(lines[start : start + 6])
                if target.endswith("_rest"):
                    # The first byte chooses the decoder.
                    seed = bytes([count % 12]) + lines[start]
                if len(seed) <= 16_384:
                    with open(os.path.join(corpus, f"seed-{count:04}"), "wb") as out:
                        out.write(seed)
                    count += 1
    print(f"{target}: {count} seeds" if count else f"{target}: SKIPPED seeds: no recordings in {DATA}")


main()
