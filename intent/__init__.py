"""Is this user buying or browsing? Behaviour logs in, purchase intent in real time out."""

__version__ = "0.1.0"
