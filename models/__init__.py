"""Models of user interest: memory updaters, rankers, training, evaluation, simulated shoppers."""
