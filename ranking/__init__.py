"""The ranking worker: candidates in, items ordered by score out."""
