"""The command line. Nothing below it knows that there is one."""
