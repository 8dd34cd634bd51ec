"""The command line: the command `bare-serve`, and answers to the flags of other servers."""
