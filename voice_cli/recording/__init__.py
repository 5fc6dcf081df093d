"""What is heard, written to a file."""
