"""Runs project and peers by turns; see tools/bench.sh."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
PEFOMED, BLOCKS = str(TARGET / "pefomed"), str(TARGET / "examples" / "block_stack")


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def peer(script, *arguments):
    return json.loads(run([sys.executable, PEERS / script, *arguments]).splitlines()[-1])


class Peer:
    """A peer's script in the number type in which it is faster: DTYPE, or what the first run finds out."""

    def __init__(self, script, *arguments):
        known = os.environ.get("DTYPE")
        self.command, self.types = [script, *arguments], [known] if known else ["float32", "bf16"]

    def run(self):
        results = {dtype: peer(*self.command, "--dtype", dtype) for dtype in self.types}
        fastest = max(results, key=lambda dtype: results[dtype]["questions_per_second"])
        if len(self.types) > 1:
            say(f"{' '.join(map(str, self.command))}: {fastest}")
        self.types = [fastest]
        return results[fastest]


class Project:
    """Training and prediction by the program, in a run folder that shares its features."""

    def __init__(self, data, vision, decoder, folder):
        self.changes = [
            f"model.vision={vision}", f"model.decoder={decoder}", f"data.vqa-rad.path={data}",
        ]
        self.folder, self.count = Path(folder), 0
        self.features = Path(os.environ.get("FEATURES") or self.folder / "features").resolve()
        self.features.mkdir(parents=True, exist_ok=True)

    def train(self, *changes, steps=42):
        self.count += 1
        out = self.folder / f"run-{self.count}"
        out.mkdir()
        (out / "features").symlink_to(self.features)
        command = [PEFOMED, "--quiet", "train", "recipes/vqa-rad-usual-split.toml"]
        command += [*self.changes, *changes, f"stage.vqa.steps={steps}", "--out", out]
        run([*command, "--json"])
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
        taken = [event for event in events if event["event"] == "step"][2:]
        info = json.loads((out / "run.json").read_text())
        seconds = sum(event["seconds"] for event in taken)
        return {
            "questions_per_second": sum(event["questions"] for event in taken) / seconds,
            "tokens_per_second": sum(event["tokens"] for event in taken) / seconds,
            "peak_mib": info["peak_memory_bytes"] / 2**20,
            "out": out,
        }

    def predict(self, out, keeps_features):
        answers, features = out / "answers.jsonl", out / "features"
        if not keeps_features:
            features.unlink()
            features.mkdir()
        started = time.perf_counter()
        run([PEFOMED, "--quiet", "predict", out, "--condition", "true", "--out", answers])
        seconds = time.perf_counter() - started
        if not keeps_features:
            shutil.rmtree(features)
            features.symlink_to(self.features)
        rows = [json.loads(line) for line in answers.read_text().splitlines()]
        say(f"{len(rows)} answers of {sum(row['tokens'] for row in rows)} tokens")
        return len(rows) / seconds


def median(values):
    return statistics.median(values)


def main():
    as_json, rounds = sys.argv[1] == "true", int(sys.argv[2])
    paths = sys.argv[3:]
    say("building")
    # As the tests build, so that the tensor framework is not compiled once more.
    run(["cargo", "build", "--release", "--workspace", "--bins", "--examples"])
    rows = []

    def row(work, theirs, ours, goal, unit):
        ratio = median(ours) / median(theirs)
        rows.append({
            "work": work, "unit": unit, "peer": median(theirs), "ours": median(ours),
            "ratio": ratio, "goal": goal,
        })
        say(f"{work}: peer {median(theirs):.3f}, ours {median(ours):.3f} {unit}, {ratio:.2f}x")

    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(peer("train_blocks.py", "--dtype", "bf16")["steps_per_second"])
        ours.append(json.loads(run([BLOCKS, "bf16"]))["steps_per_second"])
    row("block stack", theirs, ours, 2, "steps/s")

    if paths:
        with tempfile.TemporaryDirectory() as folder:
            project = Project(*paths, folder)
            project.train(steps=4)  # fills the feature cache
            encoding, cached = Peer("train_vqa.py", *paths), Peer("train_vqa.py", *paths, "--features")
            best, memory, given, shared, alone = [], [], [], [], []
            for _ in range(rounds):
                encoded = encoding.run()
                best.append(encoded["questions_per_second"])
                memory.append(encoded["peak_mib"])
                given.append(cached.run()["questions_per_second"])
                # Steps differ in their number of images, so many are taken.
                shared.append(project.train("stage.vqa.batch=8"))
                unshared = ["stage.vqa.batch=8", "stage.vqa.share_images=false"]
                alone.append(project.train(*unshared, steps=10))
            ours = [r["questions_per_second"] for r in shared]
            unit = "questions/s"
            row("VQA-RAD, images encoded by the peer", best, ours, 10, unit)
            row("VQA-RAD, features given to both", given, ours, 5, unit)
            unshared = [r["questions_per_second"] for r in alone]
            row("the same, one question an image", given, unshared, 2, unit)
            row("peak memory", memory, [r["peak_mib"] for r in shared], 0.5, "MiB")
            # Both answer with the adapter of the last run, so that they write the same.
            out = shared[-1]["out"]
            answering = Peer("generate_vqa.py", *paths, "--adapter", out / "adapter")
            project.predict(out, True)  # fills the feature cache
            answers, encoded, kept = [], [], []
            for _ in range(rounds):
                answers.append(answering.run()["questions_per_second"])
                encoded.append(project.predict(out, False))
                kept.append(project.predict(out, True))
            row("answers to all test questions, each image encoded once", answers, encoded, 10, unit)
            row("the same, features kept", answers, kept, 10, unit)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        for r in rows:
            print(f"{r['work']:38} {r['peer']:10.3f} {r['ours']:10.3f} {r['unit']:12} "
                  f"{r['ratio']:6.2f}x  (goal {r['goal']}x)")


if __name__ == "__main__":
    main()
