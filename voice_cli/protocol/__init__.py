"""The wire's words, shared by client and server."""
