"""Mutation tests: change one thing of a module, and see whether a test notices.

`operators.py` makes the mutants, `trial.py` puts one to the tests, `__main__.py` runs and reports.
`equivalent.txt` names mutants that no test can kill, each with the reason.
"""
