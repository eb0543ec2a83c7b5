"""Pillow's side of `cargo xtask bench`: reading photographs with a thread per core, as torchvision's loaders do.

    python peer.py WORKLOAD --batch N --case JSON

The protocol is that of `mtl-bench` (xtask/bench/src/main.rs). Pillow-SIMD is used where it is installed in Pillow's place.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import PIL
from PIL import Image

WARM_UP = 3


def say(**what):
    print(json.dumps(what), flush=True)


def read(path, side):
    with Image.open(path) as image:
        return len(image.convert("RGB").resize((side, side), Image.BILINEAR).tobytes())


def play(args):
    case = json.loads(args.case)
    files = [pathlib.Path(case["folder"]) / f"{at}.{case['end']}" for at in range(args.batch)]
    threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())

    def step():
        return sum(threads.map(lambda path: read(path, case["side"]), files))

    for _ in range(WARM_UP):
        step()
    say(ready=True, parameters=0, loss=None, flop=None, version=f"pillow {PIL.__version__}")
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        say(seconds=seconds)
    say(peak_kib=None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--case", required=True)
    try:
        play(parser.parse_args())
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except Exception as error:  # whatever it is, the other side has to be told
        say(failed=f"{type(error).__name__}: {error}".strip().splitlines()[0])
        sys.exit(1)


if __name__ == "__main__":
    main()
