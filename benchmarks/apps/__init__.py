"""The applications that all servers are measured with; every server gets the same callables.

They are loaded as top-level modules (this directory is on the path), so no server pays for the
package around them.
"""
