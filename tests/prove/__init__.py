"""The command that proves the claims: ``make prove SUITE=main [ONLY=3] [ARGS=--json]``."""
