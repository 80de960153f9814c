"""How much of everything a number of users and events needs: ``uic plan``."""
