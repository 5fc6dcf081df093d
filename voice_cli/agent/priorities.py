"""The priorities of speeches."""

PRIORITIES = ("important", "message", "text", "notification", "progress")
"""Those of Speech Dispatcher (SSIP, "Priority Categories"), in the order in which they are spoken."""

DEFAULT = "message"
