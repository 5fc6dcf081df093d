"""`voice bench`: its runs, its figures, its table and its page. It does not know the command line."""
