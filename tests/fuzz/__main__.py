"""`python -m tests.fuzz --seconds 60`: hunts for bytes that break an invariant of the core.

Starts from tests/fuzz/seeds and from the corpus of tests/conformance. A finding is written as a
file, told with the way to play it again, and ends the run with exit code 1. With --keep, inputs
that reached new ground are added to the seeds. --replay FILE SEED plays one again.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from random import Random

from tests.conformance.corpus import load
from tests.fuzz.engine import LONGEST, Fuzzer
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
SEEDS = HERE / "seeds"


def seeds(name: str) -> list[bytes]:
    """The seeds of a target, the smallest first."""
    found = [path.read_bytes() for path in sorted((SEEDS / name).glob("*.bin"))]
    if name == "requests":
        for case in load():
            sent = [step.get("send") or step.get("each") or b"" for step in case.steps]
            raw = b"".join(piece for piece in sent if isinstance(piece, bytes))
            if len(raw) <= LONGEST:
                found.append(raw)
    return sorted(set(found), key=lambda raw: (len(raw), raw))


def write(directory: Path, raw: bytes) -> Path:
    """Stores `raw` under a name made of its content."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{hashlib.sha256(raw).hexdigest()[:16]}.bin"
    path.write_bytes(raw)
    return path


def hunt(name: str, seconds: float, seed: int, keep: bool) -> bool:
    """One target for some time; True if nothing was found."""
    fuzzer = Fuzzer(TARGETS[name], seeds(name), Random(seed))
    finding = fuzzer.run(seconds)
    print(
        f"{name}: {fuzzer.runs} runs, {len(fuzzer.edges)} edges, {len(fuzzer.population)} inputs, "
        f"{len(fuzzer.fresh)} of them new, seed {seed}",
        flush=True,
    )
    if keep:
        for raw in fuzzer.fresh:
            write(SEEDS / name, raw)
    if finding is None:
        return True
    path = write(HERE / "found" / name, finding.raw)
    traceback.print_exception(finding.error)
    print(f"python -m tests.fuzz --target {name} --replay {path} {finding.seed}")
    return False


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, help="repeat the run with this number")
    parser.add_argument(
        "--keep", action="store_true", help="add what reaches new ground to the seeds"
    )
    parser.add_argument("--replay", nargs=2, metavar=("FILE", "SEED"), help="play a finding again")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    if options.replay:
        file, seed = options.replay
        TARGETS[names[0]](Path(file).read_bytes(), Random(int(seed)), nullcontext())
        print("nothing is broken")
        return 0
    seed = Random().getrandbits(32) if options.seed is None else options.seed
    good = [hunt(name, options.seconds / len(names), seed, options.keep) for name in names]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
