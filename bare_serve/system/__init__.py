"""Processes and files as the operating system has them: forks, links, users."""
