#!/usr/bin/env python3
"""PeFoMed's consistency study in shape: metrics, a judge through the API, two raters, their agreement.

    python3 tools/consistency_study.py OUT untuned=runs/a/predictions-test.jsonl tuned=runs/b/predictions-test.jsonl

Needs nothing but Python and `pefomed` (PEFOMED names the program). The judge and both raters are scripts:
they stand in for a model and for people, so that the whole way of a study can be walked before there is
either. The judge answers over HTTP like any OpenAI-compatible server; the raters' grades are of the kind
`synthetic`, which every table shows apart from people. Put a real endpoint and an export of
`pefomed rate` in their places.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PEFOMED = os.environ.get("PEFOMED", "pefomed")
# How sure each scripted rater wants to be, and how often it slips.
RATERS = {"synthetic strict": (0.9, 0.04), "synthetic lenient": (0.4, 0.08)}


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def overlap(candidate, reference):
    """F1 of the sets of words."""
    a, b = set(words(candidate)), set(words(reference))
    return 2 * len(a & b) / (len(a) + len(b)) if a and b else float(a == b)


def chance(*parts):
    """A number below 1 that depends on nothing but the parts."""
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:6], "big") / 2**48


class Judge(BaseHTTPRequestHandler):
    """Says that an answer is right when most of its words are, and changes its mind now and then."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
        reference, candidate = (
            text.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0] for tag in ("reference", "candidate")
        )
        right = overlap(candidate, reference) >= 0.5
        if chance(text, str(body.get("seed", 0))) < 0.03:
            right = not right
        message = {"role": "assistant", "content": f"score: {int(right)}"}
        reply = json.dumps({
            "model": body["model"], "choices": [{"message": message, "finish_reason": "stop"}],
        }).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


def pefomed(*arguments):
    print("$ pefomed", *arguments, file=sys.stderr)
    subprocess.run([PEFOMED, *map(str, arguments)], check=True)


def main():
    out, systems = Path(sys.argv[1]), dict(item.split("=", 1) for item in sys.argv[2:])
    out.mkdir(parents=True, exist_ok=True)
    grades, ratings = [], out / "synthetic-ratings.jsonl"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}/v1"
    with ratings.open("w") as file:
        for name, path in systems.items():
            metrics = out / f"metrics-{name}.jsonl"
            pefomed("score", f"{name}={path}", "--items", metrics, "--quiet")
            grades.append(metrics)
            for line in map(json.loads, Path(path).read_text().splitlines()):
                for rater, (bar, slips) in RATERS.items():
                    right = overlap(line["prediction"], line["reference"]) >= bar
                    if chance(rater, name, line["id"]) < slips:
                        right = not right
                    file.write(json.dumps({
                        "system": name, "id": line["id"], "group": line["group"], "grader": rater,
                        "kind": "synthetic", "scale": "correct", "value": int(right),
                    }) + "\n")
    judged = out / "judge.jsonl"
    named = [f"{name}={path}" for name, path in systems.items()]
    pefomed("judge", *named, "--endpoint", endpoint, "--model", "stand-in", "--repeat", 3,
            "--out", out / "judgements.jsonl", "--grades", judged)
    server.shutdown()
    predictions = [part for item in named for part in ("--predictions", item)]
    pefomed("agree", *grades, judged, ratings, *predictions,
            "--out", out / "agreement.json", "--report", out / "agreement.html")


if __name__ == "__main__":
    main()
