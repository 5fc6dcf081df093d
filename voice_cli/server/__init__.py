"""The speech server: requests in, by any of its protocols; sound out, as it is made."""
