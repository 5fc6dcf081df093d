"""The runs, figures, table and page of `voice bench`, without its command line."""
