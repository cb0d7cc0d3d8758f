"""A knowledge base: folders of documents in, passages that answer questions out.

The files are named after the way of a document: parse, clean, split, documents (what is kept),
indexing (the way itself, one checkpoint after the other), search.
"""
