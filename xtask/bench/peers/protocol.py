"""The protocol of `mtl-bench` (xtask/bench/src/main.rs) for peers in Python: one program per peer, one workload per process.

    python peer.py WORKLOAD --batch N --case JSON
"""

import argparse
import json
import os
import sys
import time

WARM_UP = 3


def say(**what):
    print(json.dumps(what), flush=True)


def answer(step, ready, peak_kib=lambda: None, wait=lambda: None):
    """Says that it is ready, with what `ready` returns of itself, then times as many steps as each line asks for.
    A step ends when `wait` returns: operations on a card are asynchronous."""
    for _ in range(WARM_UP):
        value = step()
    say(**{"ready": True, "parameters": 0, "loss": None, "flop": None, **ready(value)})
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            wait()
            seconds.append(time.perf_counter() - began)
        say(seconds=seconds)
    say(peak_kib=peak_kib())


def main(play, **options):
    """Calls `play` with the arguments; `options` are further ones with their defaults. What fails is said to the other side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--case", required=True)
    for name, default in options.items():
        parser.add_argument(f"--{name}", default=default)
    try:
        args = parser.parse_args()
        args.case = json.loads(args.case)
        play(args)
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except Exception as error:  # whatever it is, the other side has to be told
        say(failed=f"{type(error).__name__}: {error}".strip().splitlines()[0])
        sys.exit(1)
