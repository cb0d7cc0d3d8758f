"""Parts that several applications share: the embedder, the vectors, the SQLite file under them."""
