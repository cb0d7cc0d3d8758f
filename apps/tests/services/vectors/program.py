"""Upserts rows of its own, each time with the rows that others of its kind write too."""

import sys

import numpy as np

from tidemill_apps.services.vectors import VectorRow, open_vectors

BATCHES, OWN, SHARED = 10, 20, 50


def main(url: str, who: str) -> None:
    store = open_vectors(url)
    store.ensure("at once", dim=8, model_id="m")
    vector = np.ones(8, np.float32)
    shared = [VectorRow(f"shared {n}", who, vector) for n in range(SHARED)]
    if who == "b":
        shared.reverse()  # two who lock rows in opposite orders wait for each other for ever
    print("ready", flush=True)
    sys.stdin.readline()
    for batch in range(BATCHES):
        own = [VectorRow(f"{who} {batch}.{n}", who, vector) for n in range(OWN)]
        store.upsert("at once", [*shared, *own])
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
