"""bare-serve beside its peers: `python -m benchmarks`.

Layers, lower first: stats, proc, machine, wrk (pure or nearly); servers, scenarios (tables); peers,
process, checks (preparing); measure, probes, wsload (one figure each); plan, run, live (a whole
run); results, verdicts, aims, report, charts, readme, compare (what is made of the figures); cli.
Nothing here is imported by bare_serve, and only the apps and `core` and `profile` touch its inside.
"""
