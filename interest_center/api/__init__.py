"""The HTTP of an interest worker: states of users, whoever owns them, and how fresh they are."""
