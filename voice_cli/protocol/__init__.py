"""Wire messages, shared by clients and server."""
