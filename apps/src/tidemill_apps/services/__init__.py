"""Parts that several applications share: the embedder, the vectors, the SQLite file under them."""

import os

# Tasks already use every core. With OpenBLAS's own threads besides, indexing takes twice the CPU,
# and on two threads it takes 13.7 s instead of 7.5 s (2 cores, 120 documents). It is read when
# NumPy is imported; who sets it otherwise is obeyed.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
