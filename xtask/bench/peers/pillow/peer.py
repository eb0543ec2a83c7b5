"""Pillow's side of `cargo xtask bench`: reading photographs with a thread per core, as torchvision's loaders do.

    python peer.py WORKLOAD --batch N --case JSON

Pillow-SIMD is used where it is installed in Pillow's place.
"""

import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import PIL
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import protocol  # noqa: E402


def read(path, side):
    with Image.open(path) as image:
        return len(image.convert("RGB").resize((side, side), Image.BILINEAR).tobytes())


def play(args):
    case = args.case
    files = [pathlib.Path(case["folder"]) / f"{at}.{case['end']}" for at in range(args.batch)]
    threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())

    def step():
        return sum(threads.map(lambda path: read(path, case["side"]), files))

    protocol.answer(step, lambda _: {"version": f"pillow {PIL.__version__}"})


if __name__ == "__main__":
    protocol.main(play)
